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

// slimmer keeps the memory of a monitor small between the moments in which it does something: there may be hundreds of monitors, and
// each waits for months.
type slimmer struct {
	pages   pages
	garbage atomic.Int64 // about so many bytes since the last collection
	due     atomic.Bool
	later   *time.Timer
}

// What settles after something was done, and how much garbage is worth a collection.
const (
	settleTime   = 10 * time.Second
	muchGarbage  = 128 << 10
	checkGarbage = 4 << 10
)

// newSlimmer turns the garbage collector off. All that a monitor allocates until it waits is less than what one collection touches for
// good (its workers' stacks, mark bits and work buffers: 190 KB), and without that there would be one each two minutes. Whoever makes
// garbage later says so; the limit is for what nobody thought of.
func newSlimmer() *slimmer {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(16 << 20)
	s := &slimmer{pages: programPages()}
	s.later = time.AfterFunc(time.Hour, s.settle)
	return s
}

// did tells that something was done that left so many bytes of garbage.
func (s *slimmer) did(garbage int64) {
	s.garbage.Add(garbage)
	if s.due.CompareAndSwap(false, true) {
		s.later.Reset(settleTime)
	}
}

// settle gives back what only that needed.
func (s *slimmer) settle() {
	s.due.Store(false)
	if s.garbage.Load() > muchGarbage {
		s.garbage.Store(0)
		debug.FreeOSMemory()
	}
	s.pages.drop()
}

// checked is settle after a health check: the next may be near.
func (s *slimmer) checked() {
	s.garbage.Add(checkGarbage)
	s.settle()
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

// slimLog drops the pages of the program again some time after the container wrote: those that writing needs are 1.5 MB. It leaves no
// garbage.
type slimLog struct {
	logs.Writer
	slim *slimmer
}

// Write passes on.
func (l *slimLog) Write(stream int, b []byte) {
	l.Writer.Write(stream, b)
	l.slim.did(0)
}
