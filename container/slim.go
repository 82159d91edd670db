package container

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/logs"
)

// slim gives back the memory that only the start needed: there may be hundreds of monitors, and each waits for months.
func slim(p pages) {
	debug.FreeOSMemory()
	p.drop()
}

// pages are where the program file lies in this process's memory, each from an address on, so long.
type pages [][2]uintptr

// programPages looks them up once: they stay where they are, and a look is garbage that nobody collects for long.
func programPages() (all pages) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	for line := range bytes.Lines(maps) {
		fields := bytes.Fields(line)
		if len(fields) < 6 || fields[1][1] == 'w' || fields[5][0] != '/' {
			continue
		}
		from, to, _ := bytes.Cut(fields[0], []byte("-"))
		a, err1 := strconv.ParseUint(string(from), 16, 64)
		b, err2 := strconv.ParseUint(string(to), 16, 64)
		if err1 == nil && err2 == nil {
			all = append(all, [2]uintptr{uintptr(a), uintptr(b - a)})
		}
	}
	return all
}

// drop takes those that were touched out of this process; what is needed again comes back from the page cache (madvise(2),
// MADV_DONTNEED of a private file mapping that was never written to).
func (p pages) drop() {
	for _, span := range p {
		unix.Syscall(unix.SYS_MADVISE, span[0], span[1], unix.MADV_DONTNEED)
	}
}

// slimLog drops the pages of the program again some time after the container wrote: those that writing needs are 1.5 MB. It collects no
// garbage: the collector would touch more memory than it frees.
type slimLog struct {
	logs.Writer
	pages pages
	due   atomic.Bool
}

// Write passes on.
func (l *slimLog) Write(stream int, b []byte) {
	l.Writer.Write(stream, b)
	if l.due.CompareAndSwap(false, true) {
		time.AfterFunc(10*time.Second, func() {
			l.due.Store(false)
			l.pages.drop()
		})
	}
}
