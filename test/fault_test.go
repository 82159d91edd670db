package test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lifecycleCommands is how many a fault test types.
const lifecycleCommands = 300

// TestFault types a random sequence of commands and kills processes of rl at random moments meanwhile: the commands themselves, and
// monitors. What `rl ps -a` tells then is compared with what the kernel and the disk say, by other means than rl's own.
func TestFault(t *testing.T) {
	u := newLogin(t)
	u.must(t, "run", "--rm", "tiny", "true") // unpacks the image
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for i := range lifecycleCommands {
		u.disturb(t, random, u.randomCommand(random))
		if i%50 == 49 {
			u.truth(t)
		}
	}
	u.truth(t)
	u.must(t, "rm", "-f", "-a")
	u.must(t, "run", "--rm", "tiny", "true") // collects
	if err := eventually(func() error { return nothingLeft(u.work, u.data) }); err != nil {
		t.Error(err)
	}
}

// randomCommand is one of those that change a container's life, about one of a few names.
func (u *login) randomCommand(r *rand.Rand) []string {
	name := "c" + strconv.Itoa(r.IntN(6))
	all := [][]string{
		{"run", "-d", "--network", "none", "--name", name, "tiny", "sleep", "1000"},
		{"run", "-d", "--network", "none", "--restart", "always", "--name", name, "tiny", "sleep", "0.05"},
		{"run", "-d", "--rm", "--network", "none", "--name", name, "tiny", "sleep", "1000"},
		{"run", "--rm", "--network", "none", "--name", name, "tiny", "true"},
		{"create", "--network", "none", "--name", name, "tiny", "sleep", "1000"},
		{"start", name}, {"stop", "-t", "0", name}, {"kill", name}, {"restart", "-t", "0", name},
		{"exec", name, "true"}, {"pause", name}, {"unpause", name}, {"rm", "-f", name}, {"rename", name, "c" + strconv.Itoa(r.IntN(6))},
		{"ps", "-a"},
	}
	return all[r.IntN(len(all))]
}

// disturb runs a command; one time in three it or a monitor is killed in the midst of it.
func (u *login) disturb(t *testing.T, r *rand.Rand, args []string) {
	cmd := u.rl(args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if r.IntN(3) == 0 {
		time.Sleep(time.Duration(r.Int64N(int64(60 * time.Millisecond)))) // the moment is what is varied
		if monitors := u.ours("rl-monitor "); r.IntN(2) == 0 && len(monitors) > 0 {
			unix.Kill(monitors[r.IntN(len(monitors))].pid, unix.SIGKILL)
		} else {
			cmd.Process.Kill()
		}
	}
	select {
	case <-ended:
	case <-time.After(patience):
		cmd.Process.Signal(unix.SIGQUIT)
		t.Fatalf("rl %v hangs", args)
	}
}

// ours are the processes of this test whose command line begins so.
func (u *login) ours(prefix string) []proc {
	return processes(func(dir string) bool {
		env, _ := os.ReadFile(dir + "/environ")
		return strings.Contains(string(env), u.work) && strings.HasPrefix(commandLine(dir), prefix)
	})
}

// truth compares what is told with what is, when all has settled: no restart policy is about to change it.
func (u *login) truth(t *testing.T) {
	t.Helper()
	if err := eventually(u.compare); err != nil {
		t.Error(err)
	}
}

func (u *login) compare() error {
	out, err := u.rl("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.State}}").Output()
	if err != nil {
		return fmt.Errorf("rl ps -a: %w", err)
	}
	told := map[string]string{}
	for line := range strings.Lines(string(out)) {
		id, state, _ := strings.Cut(strings.TrimSpace(line), " ")
		told[id] = state
	}
	for _, place := range []string{"containers", "transient"} {
		entries, _ := os.ReadDir(filepath.Join(u.data, place))
		for _, e := range entries {
			lives := u.lives(filepath.Join(u.data, place, e.Name()))
			state, listed := told[e.Name()]
			running := state == "running" || state == "paused"
			if lives != running && state != "restarting" {
				return fmt.Errorf("container %s: told %q, its process lives: %v", e.Name(), state, lives)
			}
			if place == "containers" && !listed {
				return fmt.Errorf("container %s is not listed", e.Name())
			}
			delete(told, e.Name())
		}
	}
	for id, state := range told {
		return fmt.Errorf("container %s is told to be %s, and isn't there", id, state)
	}
	return nil
}

// lives looks at the process that the container's state names, by number and start time.
func (u *login) lives(dir string) bool {
	var state struct {
		Pid   int
		Start uint64
	}
	b, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if err != nil || json.Unmarshal(b, &state) != nil || state.Pid == 0 {
		return false
	}
	b, err = os.ReadFile(fmt.Sprintf("/proc/%d/stat", state.Pid))
	if err != nil {
		return false
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	return len(f) > 19 && f[0] != "Z" && f[19] == strconv.FormatUint(state.Start, 10)
}
