package spec

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// The realtime signals as programs know them: glibc keeps the kernel's first two (signal(7)).
const (
	rtMin   = 34
	rtMax   = 64
	maxName = len("SIGRTMIN+30")
)

// Signal reads 15, TERM, SIGTERM, RTMIN+3 and RTMAX-3. 0 asks whether the process is there (kill(2)).
func Signal(word string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(word); err == nil {
		if n < 0 || n > rtMax {
			return 0, fmt.Errorf("signal %d: 0 to %d are there", n, rtMax)
		}
		return syscall.Signal(n), nil
	}
	if len(word) <= maxName {
		name := strings.TrimPrefix(strings.ToUpper(word), "SIG")
		if n := realtime(name); n != 0 {
			return n, nil
		}
		switch name {
		case "CLD":
			name = "CHLD"
		case "IOT":
			name = "ABRT"
		case "POLL":
			name = "IO"
		}
		if sig := unix.SignalNum("SIG" + name); sig != 0 {
			return sig, nil
		}
	}
	return 0, hint.Errorf("kill -l lists them", "unknown signal %q", word)
}

// realtime is the number of RTMIN, RTMIN+n, RTMAX and RTMAX-n; 0 for all else.
func realtime(name string) syscall.Signal {
	for prefix, first := range map[string]int{"RTMIN": rtMin, "RTMAX": rtMax} {
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		n := 0
		if rest != "" {
			var err error
			if n, err = strconv.Atoi(rest); err != nil || rest[0] != '+' && rest[0] != '-' {
				return 0
			}
		}
		if n += first; n >= rtMin && n <= rtMax {
			return syscall.Signal(n)
		}
	}
	return 0
}
