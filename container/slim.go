package container

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"
)

// slim gives back the memory that only the start needed: there may be hundreds of monitors, and each waits for months.
func slim() {
	debug.FreeOSMemory()
	dropPages()
}

// dropPages takes the pages of the program file, which the start touched, out of this process; what is needed again comes back from
// the page cache (madvise(2), MADV_DONTNEED of a private file mapping that was never written to).
func dropPages() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
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
			unix.Syscall(unix.SYS_MADVISE, uintptr(a), uintptr(b-a), unix.MADV_DONTNEED)
		}
	}
}
