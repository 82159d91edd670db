//go:build amd64 || arm64

package sys

import "golang.org/x/sys/unix"

// sharing lets a child use this process's memory, and this thread wait, until it executes: no page table is copied, and neither
// side faults for pages that the other has touched.
const sharing = unix.CLONE_VM | unix.CLONE_VFORK

// vfork is a system call that makes a child, which may share the stack.
//
//go:noescape
func vfork(nr, a, b, c uintptr) (result, errno uintptr)
