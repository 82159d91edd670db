package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// Caps are the five capability sets of a process (capabilities(7)), a bit a capability.
type Caps struct{ Bounding, Effective, Permitted, Inheritable, Ambient uint64 }

// DropBounding takes out of the bounding set all that keep doesn't hold. It needs CAP_SETPCAP.
func DropBounding(keep uint64) error {
	for c := uint(0); c <= unix.CAP_LAST_CAP; c++ {
		if keep&(1<<c) != 0 {
			continue
		}
		// EINVAL: the running kernel doesn't know this one.
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && err != unix.EINVAL {
			return os.NewSyscallError("prctl PR_CAPBSET_DROP", err)
		}
	}
	return nil
}

// SetCaps sets the effective, permitted, inheritable and ambient sets of the calling thread.
func SetCaps(c Caps) error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{
		{Effective: uint32(c.Effective), Permitted: uint32(c.Permitted), Inheritable: uint32(c.Inheritable)},
		{Effective: uint32(c.Effective >> 32), Permitted: uint32(c.Permitted >> 32), Inheritable: uint32(c.Inheritable >> 32)},
	}
	if err := unix.Capset(&hdr, &data[0]); err != nil {
		return os.NewSyscallError("capset", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl PR_CAP_AMBIENT_CLEAR_ALL", err)
	}
	for b := uint(0); b <= unix.CAP_LAST_CAP; b++ {
		if c.Ambient&(1<<b) == 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(b), 0, 0); err != nil {
			return os.NewSyscallError("prctl PR_CAP_AMBIENT_RAISE", err)
		}
	}
	return nil
}

// Effective is the effective set of the calling thread.
func Effective() (uint64, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, os.NewSyscallError("capget", err)
	}
	return uint64(data[1].Effective)<<32 | uint64(data[0].Effective), nil
}
