package slirp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary plays three roles: the tests, the first process of a container (inside), and an rl that is killed (holder).
func TestMain(m *testing.M) {
	switch os.Getenv("SLIRP_TEST_ROLE") {
	case "inside":
		inside()
	case "holder":
		holder()
	default:
		os.Exit(m.Run())
	}
}

// request is what a test asks the process in the namespace to do.
type request struct{ Op, Net, Addr, Local, Say string }

// container is a process in a user and network namespace of its own.
type container struct {
	t    testing.TB
	cmd  *exec.Cmd
	pid  int
	conn *os.File
	in   *bufio.Reader
}

// newContainer starts one whose uid 0 (or uid1000, as --userns=keep-id has it) is the caller.
func newContainer(t testing.TB, insideID int) *container {
	t.Helper()
	runtime.LockOSThread()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "theirs")
	defer theirs.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"SLIRP_TEST_ROLE=inside"}
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: insideID, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: insideID, HostID: os.Getegid(), Size: 1}},
		AmbientCaps: ambient(insideID),
		Pdeathsig:   syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		t.Skipf("no user and network namespace can be made here: %v", err)
	}
	c := &container{t, cmd, cmd.Process.Pid, os.NewFile(uintptr(fds[0]), "ours"), nil}
	c.in = bufio.NewReader(c.conn)
	t.Cleanup(func() {
		c.conn.Close()
		c.cmd.Process.Kill()
		c.cmd.Wait()
	})
	return c
}

// ambient keeps the capabilities of an inside that isn't root over its execve.
func ambient(insideID int) []uintptr {
	if insideID == 0 {
		return nil
	}
	return []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_ADMIN}
}

// ask has the process inside do something and returns what it says.
func (c *container) ask(r request) string {
	c.t.Helper()
	if err := json.NewEncoder(c.conn).Encode(r); err != nil {
		c.t.Fatal(err)
	}
	line, err := c.in.ReadBytes('\n')
	if err != nil {
		c.t.Fatalf("%+v: %v", r, err)
	}
	var answer string
	if err := json.Unmarshal(line, &answer); err != nil {
		c.t.Fatal(err)
	}
	return answer
}

// must is ask for what is to succeed.
func (c *container) must(r request) {
	c.t.Helper()
	if got := c.ask(r); got != "ok" {
		c.t.Fatalf("%+v: %s", r, got)
	}
}

func inside() {
	conn := os.NewFile(3, "conn")
	in := bufio.NewScanner(conn)
	for in.Scan() {
		var r request
		answer := ""
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			answer = err.Error()
		} else {
			answer = perform(conn, r)
		}
		json.NewEncoder(conn).Encode(answer)
	}
}

func perform(conn *os.File, r request) string {
	var err error
	switch r.Op {
	case "addrs":
		return addrs()
	case "dial":
		return dial(r)
	case "serve":
		err = serve(r)
	case "up":
		err = loopbackUp()
	case "read":
		b, err := os.ReadFile(r.Addr)
		if err != nil {
			return err.Error()
		}
		return string(b)
	default:
		err = errors.New("unknown request " + r.Op)
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

// addrs tells "name mtu address…" of each interface, a line each.
func addrs() string {
	list, err := net.Interfaces()
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, i := range list {
		fmt.Fprintf(&b, "%s %d", i.Name, i.MTU)
		all, _ := i.Addrs()
		for _, a := range all {
			fmt.Fprintf(&b, " %s", a)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// dial connects, says something, and returns the first answer.
func dial(r request) string {
	c, err := net.DialTimeout(r.Net, r.Addr, 3*time.Second)
	if err != nil {
		return "error: " + err.Error()
	}
	defer c.Close()
	return converse(c, r.Say)
}

func converse(c net.Conn, say string) string {
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, say+"\n"); err != nil {
		return "error: " + err.Error()
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return "error: " + err.Error()
	}
	return strings.TrimSpace(line)
}

// serve answers each line (each packet) with the address from which it seems to come, and the line.
func serve(r request) error {
	if strings.HasPrefix(r.Net, "udp") {
		p, err := net.ListenPacket(r.Net, r.Addr)
		if err != nil {
			return err
		}
		go func() {
			buf := make([]byte, 2048)
			for {
				n, from, err := p.ReadFrom(buf)
				if err != nil {
					return
				}
				p.WriteTo([]byte(from.String()+" "+string(buf[:n])), from)
			}
		}()
		return nil
	}
	l, err := net.Listen(r.Net, r.Addr)
	if err != nil {
		return err
	}
	go acceptAll(l)
	return nil
}

func acceptAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			in := bufio.NewReader(c)
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				io.WriteString(c, c.RemoteAddr().String()+" "+line)
			}
		}()
	}
}

// loopbackUp does what package enter does.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

// holder is an rl that starts a container with a published port, tells the helper's pid and waits to be killed.
func holder() {
	t := &printer{}
	c := newContainer(t, 0)
	m, err := Parse(os.Args[1])
	if err != nil {
		t.Fatal(err)
	}
	h, err := Start(m, nil, c.pid, os.Args[2])
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Ready(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	fmt.Println(h.proc.Pid)
	select {}
}

// printer lets holder use what tests use.
type printer struct{ testing.TB }

func (*printer) Helper()                  {}
func (*printer) Cleanup(func())           {}
func (*printer) Fatal(args ...any)        { fmt.Println(args...); os.Exit(1) }
func (*printer) Skipf(f string, a ...any) { fmt.Printf(f+"\n", a...); os.Exit(1) }
