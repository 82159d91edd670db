// Package int80 calls the kernel by the i386 ABI from a 64-bit program: for the tests of filters only. Pointers don't fit.
package int80

// Call returns what the system call returned, -errno for an error. The process dies by SIGSEGV on a kernel without
// CONFIG_IA32_EMULATION.
func Call(nr, a, b, c, d, e uint32) int32
