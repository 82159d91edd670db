package test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// login is a home for a Go test that types commands itself.
type login struct {
	*lab
	work, data string
	env        []string
}

func newLogin(t *testing.T) *login {
	l := mustLab(t)
	work := filepath.Join(l.root, t.Name())
	home := mkdir(t, filepath.Join(work, "home"))
	u := &login{l, work, filepath.Join(home, ".local/share/rl"), append(l.environment(home), "TMPDIR="+mkdir(t, filepath.Join(work, ".tmp")))}
	t.Cleanup(func() {
		if err := remove(work); err != nil {
			t.Error(err)
		}
	})
	return u
}

func (u *login) rl(args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(u.bin, "rl"), args...)
	cmd.Env, cmd.Dir = u.env, u.work
	return cmd
}

func (u *login) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := u.rl(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("rl %v: %v: %s", args, err, out)
	}
	return string(out)
}

// TestKill kills rl at random moments of a start: in the middle of the maps, the mounts, the network, and while it runs. The
// kernel must take everything with it but files, and these the next command collects.
func TestKill(t *testing.T) {
	u := newLogin(t)
	u.must(t, "run", "--rm", "--name", "victim", "tiny", "true") // unpacks the image
	clean := listing(t, u.data)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for i := range 50 {
		u.killOnce(t, i, time.Duration(random.Int64N(int64(30*time.Millisecond))))
	}
	if err := eventually(func() error { return nothingLeft(u.work, "/nonexistent") }); err != nil {
		t.Fatal(err)
	}
	u.must(t, "run", "--rm", "--name", "victim", "tiny", "true")
	if err := noContainers(u.data); err != nil {
		t.Errorf("the next command did not collect: %v", err)
	}
	after := listing(t, u.data)
	for path := range after {
		if !clean[path] {
			t.Errorf("grown: %s", path)
		}
	}
}

func (u *login) killOnce(t *testing.T, i int, delay time.Duration) {
	network := []string{"none", "slirp4netns"}[i%2]
	if !has(network) {
		network = "none"
	}
	cmd := u.rl("run", "--rm", "--name", "victim", "--network", network, "tiny", "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(delay) // the moment of the kill is what is varied; nothing is asserted about it
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if state, _ := cmd.Process.Wait(); state.Exited() {
		t.Fatalf("kill %d after %v: rl had ended by itself: %v", i, delay, state)
	}
}

// listing is the set of all paths below dir.
func listing(t *testing.T, dir string) map[string]bool {
	all := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if os.IsPermission(err) {
			return fs.SkipDir
		}
		all[path] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestParallel starts many at once: no shared name, lock or port may be in the way.
func TestParallel(t *testing.T) {
	u := newLogin(t)
	const n = 20
	errs := make(chan error, n)
	for i := range n {
		go func() {
			out, err := u.rl("run", "--rm", "--name", fmt.Sprint("p", i), "tiny", "echo", "number", fmt.Sprint(i)).CombinedOutput()
			if err == nil && string(out) != fmt.Sprintf("number %d\n", i) {
				err = fmt.Errorf("printed %q", out)
			}
			if err != nil {
				err = fmt.Errorf("run %d: %w: %s", i, err, out)
			}
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := eventually(func() error { return nothingLeft(u.work, u.data) }); err != nil {
		t.Error(err)
	}
}

// TestKillDetached kills rl run -d at random moments: nobody learned of a container whose start was not reported, so it is taken back.
// None stays that ran and was killed for that.
func TestKillDetached(t *testing.T) {
	u := newLogin(t)
	u.must(t, "run", "--rm", "tiny", "true") // unpacks the image
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for range 40 {
		cmd := u.rl("run", "-d", "--network", "none", "tiny", "sleep", "1000")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
		cmd.Process.Kill()
		cmd.Wait()
	}
	err := eventually(func() error {
		if ended := u.must(t, "ps", "-a", "-q", "-f", "status=exited"); ended != "" {
			return fmt.Errorf("ended containers are left: %s", ended)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	u.must(t, "rm", "-f", "-a", "-t", "0")
}
