package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Scheduling is how the kernel favours a thread; the zero value changes nothing.
type Scheduling struct {
	Attr        *unix.SchedAttr // sched_setattr(2)
	IOPriority  *int            // ioprio_set(2), class and data
	Affinity    []int           // processors; none leaves the caller's, or takes all that the cgroup gives
	AllOf       bool
	Personality *uint // personality(2)
	Memory      *MemoryPolicy
}

// MemoryPolicy is the argument of set_mempolicy(2): the mode with its flags, and NUMA nodes.
type MemoryPolicy struct {
	Mode  int
	Nodes []int
}

func (m *MemoryPolicy) apply() error {
	const most = 1024 // MAX_NUMNODES is at most that
	var mask [most / 64]uint64
	for _, n := range m.Nodes {
		if n < most {
			mask[n/64] |= 1 << (n % 64)
		}
	}
	nodes, count := uintptr(unsafe.Pointer(&mask)), uintptr(most+1) // the kernel counts one less
	if len(m.Nodes) == 0 {
		nodes, count = 0, 0
	}
	if _, _, e := unix.RawSyscall(unix.SYS_SET_MEMPOLICY, uintptr(m.Mode), nodes, count); e != 0 {
		return os.NewSyscallError("set_mempolicy", e)
	}
	return nil
}

// Apply sets it for the calling thread.
func (s *Scheduling) Apply() error {
	if s.Attr != nil {
		if err := unix.SchedSetAttr(0, s.Attr, 0); err != nil {
			return os.NewSyscallError("sched_setattr", err)
		}
	}
	if s.IOPriority != nil {
		const process = 1 // IOPRIO_WHO_PROCESS
		if _, _, e := unix.RawSyscall(unix.SYS_IOPRIO_SET, process, 0, uintptr(*s.IOPriority)); e != 0 {
			return os.NewSyscallError("ioprio_set", e)
		}
	}
	if s.Personality != nil {
		if _, _, e := unix.RawSyscall(unix.SYS_PERSONALITY, uintptr(*s.Personality), 0, 0); e != 0 {
			return os.NewSyscallError("personality", e)
		}
	}
	if s.Memory != nil {
		if err := s.Memory.apply(); err != nil {
			return err
		}
	}
	if s.AllOf && len(s.Affinity) == 0 {
		return setAffinity(allProcessors())
	}
	return Affinity(s.Affinity)
}

// Affinity ties the calling thread to processors (sched_setaffinity(2)); none changes nothing.
func Affinity(processors []int) error {
	if len(processors) == 0 {
		return nil
	}
	var mask processorSet
	for _, p := range processors {
		if p >= 0 && p < 64*len(mask) {
			mask[p/64] |= 1 << (p % 64)
		}
	}
	return setAffinity(mask)
}

// processorSet has room for 8192 processors, the most that a kernel is built for.
type processorSet [128]uint64

func allProcessors() (all processorSet) {
	for i := range all {
		all[i] = ^uint64(0)
	}
	return all
}

func setAffinity(mask processorSet) error {
	_, _, e := unix.RawSyscall(unix.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(mask), uintptr(unsafe.Pointer(&mask)))
	if e != 0 {
		return os.NewSyscallError("sched_setaffinity", e)
	}
	return nil
}
