package test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

type scriptKey struct{}

// script is the state of one script that rl's own commands keep.
type script struct {
	lab     *lab
	work    string
	started map[string]*process
	closers []func()
}

func stateOf(ts *testscript.TestScript) *script { return ts.Value(scriptKey{}).(*script) }

// close ends what the script left running: a script that failed in the middle must not disturb the others.
func (s *script) close() {
	for _, p := range s.started {
		p.cmd.Process.Kill()
		<-p.done
	}
	for _, f := range s.closers {
		f()
	}
	if s.lab.kept {
		return
	}
	if vmGroup() != "" { // its containers are in the user's own home, where the next script's will be
		exec.Command(filepath.Join(s.lab.bin, "rl"), "rm", "--all", "--force").Run()
	}
	for _, p := range touching(s.work) {
		if q, err := os.FindProcess(p.pid); err == nil {
			q.Kill()
		}
	}
	remove(s.work)
}

type command = func(ts *testscript.TestScript, neg bool, args []string)

// commands are described in README.md.
func (l *lab) commands() map[string]command {
	return map[string]command{
		"exitcode":    cmdExitcode,
		"fixture":     cmdFixture,
		"finish":      cmdFinish,
		"freeport":    cmdFreeport,
		"httpserver":  cmdHTTPServer,
		"keep":        cmdKeep,
		"killmonitor": cmdKillMonitor,
		"leftovers":   cmdLeftovers,
		"output":      cmdOutput,
		"owner":       cmdOwner,
		"pty":         cmdPty,
		"reboot":      cmdReboot,
		"registry":    cmdRegistry,
		"setstdout":   cmdSetStdout,
		"signal":      cmdSignal,
		"start":       cmdStart,
		"waitfor":     cmdWaitFor,
	}
}

func need(ts *testscript.TestScript, neg bool, args []string, least int, usage string) {
	if neg {
		ts.Fatalf("unsupported: ! %s", strings.Fields(usage)[0])
	}
	if len(args) < least {
		ts.Fatalf("usage: %s", usage)
	}
}

// exitcode N CMD…: like exec, for one exact exit code.
func cmdExitcode(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "exitcode N CMD [ARG…]")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	if got := exitCode(ts, err); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func exitCode(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// setstdout VAR: the last stdout, trimmed, becomes an environment variable.
func cmdSetStdout(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "setstdout VAR")
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// waitfor CMD…: repeats a command until it succeeds.
func cmdWaitFor(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "waitfor CMD [ARG…]")
	if err := eventually(func() error { return ts.Exec(args[0], args[1:]...) }); err != nil {
		ts.Fatalf("never succeeded: %v", err)
	}
}

// leftovers [-garbage]: nothing of this script's rl runs, is mounted or lies about. With -garbage, what the next command
// collects may lie there.
func cmdLeftovers(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 0, "leftovers [-garbage]")
	work, data := stateOf(ts).work, ts.Getenv("DATA")
	if len(args) == 1 && args[0] == "-garbage" {
		data = "/nonexistent"
	}
	ts.Check(eventually(func() error { return nothingLeft(work, data) }))
}

// keep: the containers are for the group that goes on in this virtual machine after a reboot.
func cmdKeep(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 0, "keep")
	stateOf(ts).lab.kept = true
}

// owner UID[:GID] FILE…: who owns the files, as the host counts.
func cmdOwner(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 2, "owner UID[:GID] FILE…")
	for _, file := range args[1:] {
		info, err := os.Lstat(ts.MkAbs(file))
		ts.Check(err)
		uid, gid := ids(info)
		if args[0] != fmt.Sprint(uid) && args[0] != fmt.Sprintf("%d:%d", uid, gid) {
			ts.Fatalf("%s belongs to %d:%d, want %s", file, uid, gid, args[0])
		}
	}
}

// freeport VAR…: a TCP port that nobody had a moment ago.
func cmdFreeport(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "freeport VAR…")
	for _, name := range args {
		l, err := net.Listen("tcp", ":0")
		ts.Check(err)
		defer l.Close()
		ts.Setenv(name, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
}

// httpserver: a server on the host that says hello. HTTP_ADDRESS is host:port by an address of the host that isn't loopback,
// HTTP_PORT the port on every address.
func cmdHTTPServer(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 0, "httpserver")
	l, err := net.Listen("tcp", ":0")
	ts.Check(err)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "hello from the host")
	})}
	go s.Serve(l)
	state := stateOf(ts)
	state.closers = append(state.closers, func() { s.Close() })
	port := l.Addr().(*net.TCPAddr).Port
	ts.Setenv("HTTP_PORT", strconv.Itoa(port))
	ts.Setenv("HTTP_ADDRESS", fmt.Sprintf("%s:%d", outwardIP(), port))
}

// outwardIP is the host's address towards the world; no packet is sent to find it.
func outwardIP() string {
	c, err := net.Dial("udp", "192.0.2.1:9")
	if err != nil {
		return "127.0.0.1"
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).IP.String()
}

// fixture NAME…: makes an image archive (or directory) of fixture_test.go, and FIXTURE_NAME its path.
func cmdFixture(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 1, "fixture NAME…")
	for _, name := range args {
		path, err := stateOf(ts).lab.fixtures.get(name)
		ts.Check(err)
		ts.Setenv("FIXTURE_"+strings.ToUpper(name), path)
	}
}

// registry [-flaw]: starts a registry on loopback with the fixtures' busybox; REGISTRY is its host:port.
func cmdRegistry(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, neg, args, 0, "registry [-flaw]")
	flaw := ""
	if len(args) > 0 {
		flaw = strings.TrimPrefix(args[0], "-")
	}
	address, err := stateOf(ts).lab.registry.start(flaw)
	ts.Check(err)
	ts.Setenv("REGISTRY", address)
	// A registry without TLS is an exception that its user makes; this is how every tool of the family is told.
	conf := filepath.Join(ts.Getenv("HOME"), ".config/containers/registries.conf")
	ts.Check(os.MkdirAll(filepath.Dir(conf), 0o700))
	ts.Check(os.WriteFile(conf, fmt.Appendf(nil, "[[registry]]\nlocation = %q\ninsecure = true\n", address), 0o600))
}
