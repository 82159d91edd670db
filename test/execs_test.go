package test

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestRootExecs counts the programs that a start of an ordinary user runs. Root looks on, since a setuid helper that is traced
// by its own user loses its privilege.
func TestRootExecs(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not root: newuidmap under a user's strace has no privilege")
	}
	const name = "rltest"
	uid, gid := account(t, name)
	work, err := os.MkdirTemp("/var/tmp", "rl-execs-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(work) })
	if err := os.Chown(work, uid, gid); err != nil {
		t.Fatal(err)
	}
	l := mustLab(t)
	run := func(network string) []string {
		trace := filepath.Join(work, "trace")
		cmd := exec.Command("strace", "-f", "-u", name, "-e", "trace=execve,execveat", "-s", "200", "-o", trace,
			filepath.Join(l.bin, "rl"), "run", "--rm", "--network", network, "tiny", "true")
		cmd.Dir = work
		cmd.Env = append(l.environment(work), "USER="+name, "LOGNAME="+name)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", cmd, err, out)
		}
		return execs(t, trace)
	}
	run("none") // unpacks the image
	if got := run("none"); len(got) > 5 {
		t.Errorf("without network %d programs, want at most 5:\n%s", len(got), strings.Join(got, "\n"))
	}
	if got := run("slirp4netns"); len(got) > 6 {
		t.Errorf("with slirp4netns %d programs, want at most 6:\n%s", len(got), strings.Join(got, "\n"))
	}
}

// execs are the successful ones of a trace.
func execs(t *testing.T, trace string) []string {
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(b)) {
		ended := strings.HasSuffix(strings.TrimSpace(line), "= 0")
		if ended && strings.Contains(line, "exec") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	if len(all) == 0 {
		t.Fatalf("no exec in the trace: %s", b)
	}
	return all
}

func account(t *testing.T, name string) (uid, gid int) {
	u, err := user.Lookup(name)
	if err != nil {
		t.Skipf("%v: hack/as-user makes it", err)
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid
}
