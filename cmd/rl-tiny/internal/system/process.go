package system

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

// duration reads 1, 0.5, 2m, 1h, 1d.
func duration(s string) (time.Duration, error) {
	unit := time.Second
	number := s
	if s != "" {
		switch s[len(s)-1] {
		case 's':
			number = s[:len(s)-1]
		case 'm':
			number, unit = s[:len(s)-1], time.Minute
		case 'h':
			number, unit = s[:len(s)-1], time.Hour
		case 'd':
			number, unit = s[:len(s)-1], 24*time.Hour
		}
	}
	if s == "infinity" || s == "inf" {
		return 1<<63 - 1, nil
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("invalid time interval '%s'", s)
	}
	return time.Duration(min(n*float64(unit), 1<<62)), nil
}

func sleep(c *tool.Call) error {
	if len(c.Args) == 0 {
		return tool.Usage("sleep NUMBER[smhd]...")
	}
	var total time.Duration
	for _, a := range c.Args {
		d, err := duration(a)
		if err != nil {
			return err
		}
		total += min(d, 1<<63-1-total)
	}
	time.Sleep(total)
	return nil
}

// child starts a program on this one's streams.
func child(argv []string) (*exec.Cmd, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, notRun(argv[0], err)
	}
	return cmd, nil
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0
	}
	if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

func timed(c *tool.Call) error {
	o, argv, err := c.Options("+p")
	if err != nil {
		return err
	}
	_ = o.Has('p') // the format is that of -p anyway
	if len(argv) == 0 {
		return nil
	}
	start := time.Now()
	cmd, err := child(argv)
	if err != nil {
		return err
	}
	c.Code = exitCode(cmd.Wait())
	fmt.Fprintf(os.Stderr, "real %.2f\nuser %.2f\nsys %.2f\n", time.Since(start).Seconds(), cmd.ProcessState.UserTime().Seconds(), cmd.ProcessState.SystemTime().Seconds())
	return nil
}

func timeout(c *tool.Call) error {
	o, args, err := c.Options("+s:k:fp", "signal=s", "kill-after=k", "preserve-status=p", "foreground=f")
	if err != nil {
		return err
	}
	if len(args) < 2 {
		return tool.Usage("timeout [-s SIGNAL] [-k TIME] TIME COMMAND [ARGUMENT...]")
	}
	limit, err := duration(args[0])
	if err != nil {
		return &tool.Exit{Code: 125, Err: err}
	}
	sig := unix.SIGTERM
	if o.Has('s') {
		var ok bool
		if sig, ok = tool.Signal(o.Get('s')); !ok {
			return &tool.Exit{Code: 125, Err: fmt.Errorf("%s: no such signal", o.Get('s'))}
		}
	}
	var grace time.Duration
	if o.Has('k') {
		if grace, err = duration(o.Get('k')); err != nil {
			return &tool.Exit{Code: 125, Err: err}
		}
	}
	cmd, err := child(args[1:])
	if err != nil {
		return err
	}
	relay := make(chan os.Signal, 4)
	signal.Notify(relay, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	end, hard, late := time.After(limit), (<-chan time.Time)(nil), false
	if limit == 0 {
		end = nil
	}
	for {
		select {
		case err := <-ended:
			c.Code = exitCode(err)
			if late && !o.Has('p') && c.Code != 128+int(unix.SIGKILL) {
				c.Code = 124
			}
			return nil
		case s := <-relay:
			cmd.Process.Signal(s)
		case <-end:
			late = true
			cmd.Process.Signal(sig)
			cmd.Process.Signal(unix.SIGCONT)
			if o.Has('k') {
				hard = time.After(grace)
			}
		case <-hard:
			cmd.Process.Kill()
		}
	}
}

func nohup(c *tool.Call) error {
	if len(c.Args) == 0 {
		return tool.Usage("nohup COMMAND [ARGUMENT...]")
	}
	signal.Ignore(unix.SIGHUP)
	if term.IsTerminal(1) {
		f, err := os.OpenFile("nohup.out", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		if err := unix.Dup2(int(f.Fd()), 1); err != nil {
			return err
		}
		if term.IsTerminal(2) {
			unix.Dup2(1, 2)
		}
	}
	return become(c.Args)
}

func kill(c *tool.Call) error {
	args, sig := c.Args, unix.SIGTERM
	if len(args) > 0 && args[0] == "-l" {
		for n := syscall.Signal(1); n < 32; n++ {
			c.Printf("%2d %s\n", n, tool.SignalName(n))
		}
		return nil
	}
	if len(args) > 1 && args[0] == "-s" {
		args = append([]string{"-" + args[1]}, args[2:]...)
	}
	if len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "--" {
		var ok bool
		if sig, ok = tool.Signal(args[0][1:]); !ok {
			return tool.Usage("%s: no such signal", args[0][1:])
		}
		args = args[1:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return tool.Usage("kill [-s SIGNAL | -SIGNAL] PID...")
	}
	for _, a := range args {
		pid, err := strconv.Atoi(a)
		if err == nil {
			err = unix.Kill(pid, sig)
		}
		if err != nil {
			c.Warn(fmt.Errorf("%s: %s", a, tool.Reason(err)))
		}
	}
	return nil
}

type process struct {
	pid, ppid, uid    int
	state, time, args string
	rss               int64
}

func ps(c *tool.Call) error {
	// ps takes options with and without a dash; all processes are shown either way.
	long := false
	for _, a := range c.Args {
		if strings.Trim(a, "-aAefuxwl") != "" {
			return tool.Usage("ps [-ef | aux]: -o and the like are not there")
		}
		long = long || strings.ContainsAny(a, "ful")
	}
	all, err := processes()
	if err != nil {
		return err
	}
	if long {
		c.Printf("%5s %5s %-8s %-1s %8s %8s %s\n", "PID", "PPID", "USER", "S", "RSS", "TIME", "COMMAND")
	} else {
		c.Printf("%5s %-8s %8s %s\n", "PID", "USER", "TIME", "COMMAND")
	}
	for _, p := range all {
		name := userName(p.uid)
		if name == "" {
			name = strconv.Itoa(p.uid)
		}
		if long {
			c.Printf("%5d %5d %-8s %-1s %8d %8s %s\n", p.pid, p.ppid, name, p.state, p.rss, p.time, p.args)
		} else {
			c.Printf("%5d %-8s %8s %s\n", p.pid, name, p.time, p.args)
		}
	}
	return nil
}

func processes() ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if p, err := readProcess(pid); err == nil { // else it has ended
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b process) int { return a.pid - b.pid })
	return all, nil
}

func readProcess(pid int) (process, error) {
	dir := fmt.Sprintf("/proc/%d", pid)
	p := process{pid: pid}
	b, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return p, err
	}
	s := string(b)
	open, end := strings.IndexByte(s, '('), strings.LastIndexByte(s, ')')
	f := strings.Fields(s[end+1:])
	if open < 0 || len(f) < 22 {
		return p, errors.New("short stat")
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return p, err
	}
	number := func(i int) int64 { n, _ := strconv.ParseInt(f[i], 10, 64); return n }
	p.uid, p.state, p.ppid = int(st.Uid), f[0], int(number(1))
	ticks := time.Duration(number(11)+number(12)) * time.Second / 100 // USER_HZ
	p.time = fmt.Sprintf("%02d:%02d:%02d", int(ticks.Hours()), int(ticks.Minutes())%60, int(ticks.Seconds())%60)
	p.rss = number(21) * int64(os.Getpagesize()) / 1024
	args, _ := os.ReadFile(dir + "/cmdline")
	if p.args = clean(strings.ReplaceAll(strings.TrimRight(string(args), "\x00"), "\x00", " ")); p.args == "" {
		p.args = "[" + clean(s[open+1:end]) + "]"
	}
	return p, nil
}

// clean shows control characters as ?: a process names itself as it likes.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
}
