// Package system are the programs of rl-tiny that tell of the system and of processes, and that run others.
package system

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/files"
	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

// Programs are the programs of this package.
func Programs() []tool.Program {
	return []tool.Program{
		{Name: "arch", Run: arch}, {Name: "clear", Run: clearScreen}, {Name: "date", Run: date}, {Name: "env", Run: env}, {Name: "free", Run: free},
		{Name: "groups", Run: groups}, {Name: "hostname", Run: hostname}, {Name: "id", Run: id}, {Name: "kill", Run: kill}, {Name: "mount", Run: mount},
		{Name: "nohup", Run: nohup}, {Name: "nproc", Run: nproc}, {Name: "printenv", Run: printenv}, {Name: "ps", Run: ps}, {Name: "pwd", Run: pwd},
		{Name: "sleep", Run: sleep}, {Name: "stty", Run: stty}, {Name: "time", Run: timed}, {Name: "timeout", Run: timeout}, {Name: "tty", Run: tty},
		{Name: "uname", Run: uname}, {Name: "uptime", Run: uptime}, {Name: "which", Run: which}, {Name: "whoami", Run: whoami},
	}
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return ""
}

func groupName(gid int) string {
	if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
		return g.Name
	}
	return ""
}

// named is "0(root)", or the number alone.
func named(id int, name string) string {
	if name == "" {
		return strconv.Itoa(id)
	}
	return fmt.Sprintf("%d(%s)", id, name)
}

// allGroups begins with the effective one.
func allGroups(gid int) []int {
	list, _ := os.Getgroups()
	return append([]int{gid}, slices.DeleteFunc(list, func(g int) bool { return g == gid })...)
}

func id(c *tool.Call) error {
	o, names, err := c.Options("ugGnr", "user=u", "group=g", "groups=G", "name=n", "real=r")
	if err != nil {
		return err
	}
	uid, gid := os.Geteuid(), os.Getegid()
	if o.Has('r') {
		uid, gid = os.Getuid(), os.Getgid()
	}
	list := allGroups(gid)
	if len(names) > 0 {
		u, err := user.Lookup(names[0])
		if err != nil {
			return fmt.Errorf("'%s': no such user", names[0])
		}
		uid, _ = strconv.Atoi(u.Uid)
		gid, _ = strconv.Atoi(u.Gid)
		list = []int{gid}
	}
	show := func(n int, name string) string {
		if o.Has('n') && name != "" {
			return name
		}
		return strconv.Itoa(n)
	}
	switch o.Last("ugG") {
	case 'u':
		c.Printf("%s\n", show(uid, userName(uid)))
	case 'g':
		c.Printf("%s\n", show(gid, groupName(gid)))
	case 'G':
		var words []string
		for _, g := range list {
			words = append(words, show(g, groupName(g)))
		}
		c.Printf("%s\n", strings.Join(words, " "))
	default:
		var words []string
		for _, g := range list {
			words = append(words, named(g, groupName(g)))
		}
		c.Printf("uid=%s gid=%s", named(uid, userName(uid)), named(gid, groupName(gid)))
		if real := os.Getuid(); len(names) == 0 && real != uid {
			c.Printf(" ruid=%s", named(real, userName(real)))
		}
		c.Printf(" groups=%s\n", strings.Join(words, ","))
	}
	return nil
}

func groups(c *tool.Call) error {
	c.Args = append([]string{"-Gn"}, c.Args...)
	return id(c)
}

func whoami(c *tool.Call) error {
	name := userName(os.Geteuid())
	if name == "" {
		return fmt.Errorf("cannot find name for user ID %d", os.Geteuid())
	}
	c.Printf("%s\n", name)
	return nil
}

func hostname(c *tool.Call) error {
	o, args, err := c.Options("sf")
	if err != nil {
		return err
	}
	if len(args) > 0 {
		if err := unix.Sethostname([]byte(args[0])); err != nil {
			return fmt.Errorf("sethostname: %w", err)
		}
		return nil
	}
	name, err := os.Hostname()
	if o.Has('s') {
		name, _, _ = strings.Cut(name, ".")
	}
	c.Printf("%s\n", name)
	return err
}

func uname(c *tool.Call) error {
	o, args, err := c.Options("asnrvmo", "all=a", "kernel-name=s", "nodename=n", "kernel-release=r", "machine=m")
	if err != nil || len(args) > 0 {
		return cmp.Or(err, tool.Usage("uname [-asnrvmo]"))
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	var words []string
	for _, f := range []struct {
		letter byte
		text   string
	}{{'s', unix.ByteSliceToString(u.Sysname[:])}, {'n', unix.ByteSliceToString(u.Nodename[:])}, {'r', unix.ByteSliceToString(u.Release[:])},
		{'v', unix.ByteSliceToString(u.Version[:])}, {'m', unix.ByteSliceToString(u.Machine[:])}, {'o', "Linux"}} {
		if o.Has(f.letter) || o.Has('a') || o.Count() == 0 && f.letter == 's' {
			words = append(words, f.text)
		}
	}
	c.Printf("%s\n", strings.Join(words, " "))
	return nil
}

func arch(c *tool.Call) error {
	c.Args = []string{"-m"}
	return uname(c)
}

func nproc(c *tool.Call) error {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return err
	}
	c.Printf("%d\n", set.Count())
	return nil
}

func pwd(c *tool.Call) error {
	o, _, err := c.Options("LP")
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	if o.Has('P') && err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	c.Printf("%s\n", dir)
	return err
}

func printenv(c *tool.Call) error {
	if len(c.Args) == 0 {
		for _, kv := range os.Environ() {
			c.Printf("%s\n", kv)
		}
	}
	for _, name := range c.Args {
		if v, ok := os.LookupEnv(name); ok {
			c.Printf("%s\n", v)
		} else {
			c.Code = 1
		}
	}
	return nil
}

func env(c *tool.Call) error {
	o, args, err := c.Options("+iu:0C:", "ignore-environment=i", "unset=u", "null=0", "chdir=C")
	if err != nil {
		return err
	}
	if len(args) > 0 && args[0] == "-" {
		os.Clearenv()
		args = args[1:]
	}
	if o.Has('i') {
		os.Clearenv()
	}
	for _, name := range o.All('u') {
		os.Unsetenv(name)
	}
	for len(args) > 0 {
		name, value, ok := strings.Cut(args[0], "=")
		if !ok {
			break
		}
		if err := os.Setenv(name, value); err != nil {
			return err
		}
		args = args[1:]
	}
	if o.Has('C') {
		if err := os.Chdir(o.Get('C')); err != nil {
			return err
		}
	}
	if len(args) > 0 {
		return become(args)
	}
	end := "\n"
	if o.Has('0') {
		end = "\x00"
	}
	for _, kv := range os.Environ() {
		c.Printf("%s%s", kv, end)
	}
	return nil
}

// become replaces this process by a program.
func become(argv []string) error {
	environment := os.Environ()
	if _, set := os.LookupEnv("PATH"); !set {
		os.Setenv("PATH", "/bin:/usr/bin")
		defer os.Unsetenv("PATH")
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return notRun(argv[0], err)
	}
	return notRun(argv[0], unix.Exec(path, argv, environment))
}

// notRun is the error of a program that could not be run, with the exit code of POSIX.
func notRun(name string, err error) error {
	code := 126
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, unix.ENOENT) {
		code, err = 127, unix.ENOENT
	}
	return &tool.Exit{Code: code, Err: fmt.Errorf("%s: %s", name, tool.Reason(err))}
}

func which(c *tool.Call) error {
	o, args, err := c.Options("a")
	if err != nil {
		return err
	}
	for _, name := range args {
		found := false
		dirs := filepath.SplitList(os.Getenv("PATH"))
		if strings.Contains(name, "/") {
			dirs = []string{""}
		}
		for _, dir := range dirs {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && !info.IsDir() && unix.Access(path, unix.X_OK) == nil && (!found || o.Has('a')) {
				c.Printf("%s\n", path)
				found = true
			}
		}
		if !found {
			c.Code = 1
		}
	}
	return nil
}

func clearScreen(c *tool.Call) error {
	c.Printf("\x1b[H\x1b[2J\x1b[3J")
	return nil
}

func tty(c *tool.Call) error {
	o, _, err := c.Options("s", "silent=s")
	if err != nil {
		return err
	}
	name := "not a tty"
	if !term.IsTerminal(0) {
		c.Code = 1
	} else if name, err = os.Readlink("/proc/self/fd/0"); err != nil {
		return err
	}
	if !o.Has('s') {
		c.Printf("%s\n", name)
	}
	return nil
}

func mount(c *tool.Call) error {
	o, args, err := c.Options("t:")
	if err != nil {
		return err
	}
	if len(args) > 0 {
		return errors.New("only the list of mounts is there, no mounting")
	}
	mounts, err := tool.Mounts()
	for _, m := range mounts {
		if !o.Has('t') || slices.Contains(strings.Split(o.Get('t'), ","), m.Type) {
			c.Printf("%s on %s type %s (%s)\n", m.Source, m.Target, m.Type, m.Options)
		}
	}
	return err
}

func uptime(c *tool.Call) error {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return err
	}
	up := time.Duration(info.Uptime) * time.Second
	load := func(i int) float64 { return float64(info.Loads[i]) / 65536 }
	c.Printf(" %s up %d days, %02d:%02d, load average: %.2f, %.2f, %.2f\n", time.Now().Format("15:04:05"),
		int(up.Hours())/24, int(up.Hours())%24, int(up.Minutes())%60, load(0), load(1), load(2))
	return nil
}

func free(c *tool.Call) error {
	o, _, err := c.Options("bkmgh")
	if err != nil {
		return err
	}
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return err
	}
	kb := map[string]int64{}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 {
			kb[strings.TrimSuffix(f[0], ":")], _ = strconv.ParseInt(f[1], 10, 64)
		}
	}
	show := func(n int64) string {
		switch o.Last("bkmgh") {
		case 'b':
			return strconv.FormatInt(n*1024, 10)
		case 'm':
			return strconv.FormatInt(n/1024, 10)
		case 'g':
			return strconv.FormatInt(n>>20, 10)
		case 'h':
			return files.Human(n * 1024)
		}
		return strconv.FormatInt(n, 10)
	}
	cache := kb["Buffers"] + kb["Cached"] + kb["SReclaimable"]
	c.Printf("%7s%12s%12s%12s%12s%12s%12s\n", "", "total", "used", "free", "shared", "buff/cache", "available")
	c.Printf("%-7s%12s%12s%12s%12s%12s%12s\n", "Mem:", show(kb["MemTotal"]), show(kb["MemTotal"]-kb["MemAvailable"]), show(kb["MemFree"]), show(kb["Shmem"]), show(cache), show(kb["MemAvailable"]))
	c.Printf("%-7s%12s%12s%12s\n", "Swap:", show(kb["SwapTotal"]), show(kb["SwapTotal"]-kb["SwapFree"]), show(kb["SwapFree"]))
	return nil
}
