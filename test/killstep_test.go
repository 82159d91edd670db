package test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// step is a command that is killed, and what it needs before.
type step struct {
	before [][]string
	args   []string
	gone   bool // its container may be gone, or was never there
}

// TestNosubKillStep kills commands within their steps, one after the other: before each system call that changes something, of rl and of
// all that it starts. A moment that no random kill hits in years is one of a hundred here. It is run without subuid ranges, since a
// setuid program gains nothing under strace.
func TestNosubKillStep(t *testing.T) {
	if first, _ := subuids(); first != "" {
		t.Skip("this user has subuid ranges: run it by hack/test, as rlnosub")
	}
	if !has("strace") {
		t.Skip("no strace: hack/deps test installs it")
	}
	u := newLogin(t)
	u.must(t, "run", "--rm", "--network", "none", "tiny", "true")
	detached := []string{"run", "-d", "--name", "victim", "--network", "none", "tiny", "sleep", "1000"}
	ended := [][]string{{"run", "--name", "victim", "--network", "none", "tiny", "true"}}
	steps := map[string]step{
		"start":  {before: ended, args: []string{"start", "victim"}},
		"cp":     {before: ended, args: []string{"cp", "/etc/passwd", "victim:/new"}},
		"rename": {before: ended, args: []string{"rename", "victim", "other"}},
		"rm":     {before: ended, args: []string{"rm", "victim"}, gone: true},
		"stop":   {before: [][]string{detached}, args: []string{"stop", "-t", "0", "victim"}},
		"run":    {args: detached, gone: true},
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for name, s := range steps {
		t.Run(name, func(t *testing.T) {
			defer u.rl("rm", "-fa", "-t", "0").Run()
			kills := 0
			for calls, every := range changes() {
				for n, unhurt := 1+random.IntN(every), 0; unhurt < 2; n += every {
					killed := u.killStep(t, s, calls, n)
					if unhurt++; killed {
						unhurt, kills = 0, kills+1
					}
					if err := u.recovers(s); err != nil {
						t.Fatalf("killed before number %d of %s: %v", n, calls, err)
					}
				}
			}
			t.Logf("%d kills", kills)
			if kills < 5 {
				t.Error("hardly a kill: is it strace?")
			}
		})
	}
}

// changes are the system calls by which a command changes something that others see, on the disk or among the processes, and of how many
// one is picked. Each kind is counted for itself, and in each thread: a goroutine may go on in another one, where a number that a kill
// stands for was reached long before.
func changes() map[string]int {
	return map[string]int{
		"mkdir,mkdirat": 1, "rmdir,unlink,unlinkat": 1, "rename,renameat,renameat2": 1, "symlink,symlinkat": 1, "utimensat,chmod,fchmod,fchmodat": 1,
		"flock": 2, "clone,clone3,execve": 1, "mount,move_mount,unshare,setns": 2, "open,openat,write,pwrite64,close,sendmsg,sendto": 8,
	}
}

// killStep tells whether the command was killed. The tracer is no parent (-D): it stays with what the command left running.
func (u *login) killStep(t *testing.T, s step, calls string, n int) bool {
	t.Helper()
	for _, args := range s.before {
		u.must(t, args...)
	}
	calls = "?" + strings.ReplaceAll(calls, ",", ",?") // not every machine has all
	args := []string{"-D", "-f", "-q", "-o", "/dev/null", "-e", "trace=" + calls, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", calls, n)}
	rl := u.rl(s.args...)
	cmd := exec.Command("strace", append(append(args, rl.Path), s.args...)...)
	cmd.Env, cmd.Dir = rl.Env, rl.Dir
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err != nil && (exit.ExitCode() != 0 || exit.Sys().(syscall.WaitStatus).Signaled())
}

// recovers: the next commands find a container that can be started and removed, its name is free then, and nothing is left.
func (u *login) recovers(s step) error {
	try := func(args ...string) (string, error) {
		out, err := u.rl(args...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("rl %v: %w: %s", args, err, out)
		}
		return string(out), err
	}
	list, err := try("ps", "-a", "--format", "{{.Names}} {{.State}}")
	if err != nil {
		return err
	}
	if list == "" && !s.gone {
		return errors.New("the container is gone")
	}
	for line := range strings.Lines(list) {
		name, state, _ := strings.Cut(strings.TrimSpace(line), " ")
		if state != "running" {
			if _, err := try("start", name); err != nil {
				return err
			}
		}
		if _, err := try("rm", "-f", "-t", "0", name); err != nil {
			return err
		}
	}
	if _, err := try("run", "--rm", "--name", "victim", "--network", "none", "tiny", "true"); err != nil {
		return err
	}
	if _, err := try("container", "prune", "-f"); err != nil {
		return err
	}
	return eventually(func() error { return errors.Join(noContainers(u.data), nothingLeft(u.work, "/nonexistent")) })
}
