package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lifecycleCommands is how many a fault test types.
const lifecycleCommands = 300

// TestFault types a random sequence of commands and kills processes of rl at random moments meanwhile: the commands themselves, monitors,
// and whatever they started. What rl tells then is compared with what the kernel and the disk say, by other means than rl's own.
// RL_FAULT_SEED=N types the sequence of another run again; the moments are never the same.
func TestFault(t *testing.T) {
	u := newLogin(t)
	t.Cleanup(func() { u.rl("rm", "-f", "-a").Run() })
	u.must(t, "run", "--rm", "tiny", "true") // unpacks the image
	seed := rand.Uint64()
	if word := os.Getenv("RL_FAULT_SEED"); word != "" {
		var err error
		if seed, err = strconv.ParseUint(word, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for i := range lifecycleCommands {
		u.atOnce(t, random, i)
		if i%50 == 49 {
			u.truth(t)
		}
	}
	u.truth(t)
	u.must(t, "rm", "-f", "-a", "-v")
	u.must(t, "run", "--rm", "tiny", "true") // collects
	u.must(t, "volume", "prune", "-f", "-a")
	if err := eventually(func() error { return u.nothing() }); err != nil {
		t.Error(err)
	}
}

// nothing is left, no volume either.
func (u *login) nothing() error {
	if err := emptyDir(filepath.Join(u.data, "volumes")); err != nil {
		return err
	}
	return nothingLeft(u.work, u.data)
}

// markName is a variable and a label by which a container is known to the kernel and on disk.
const markName = "RLFAULT"

// markPrefix tells this test's from those of another at the same time.
func markPrefix() string { return strconv.Itoa(os.Getpid()) + "-" }

// randomCommand is one of those that change a container's life, about one of a few names. What it makes bears the mark.
func (u *login) randomCommand(r *rand.Rand, mark string) []string {
	name, file := "c"+strconv.Itoa(r.IntN(6)), filepath.Join(u.bin, "rl-enter")
	made := func(verb string, words ...string) []string {
		all := append(strings.Fields(verb), "-e", markName+"="+mark, "--label", markName+"="+mark, "--name", name)
		return append(all, words...)
	}
	all := [][]string{
		made("run -d --network none", "tiny", "sleep", "1000"),
		made("run -d", "tiny", "sleep", "1000"),
		made("run -d --network none --restart always", "tiny", "sleep", "0.05"),
		made("run -d --network none --restart on-failure:3", "tiny", "false"),
		made("run -d --rm --network none", "tiny", "sleep", "1000"),
		made("run --rm --network none", "tiny", "true"),
		made("run --network none", "tiny", "false"),
		made("run -d --network none -v shared:/data -v /own", "tiny", "sleep", "1000"),
		made("run -d --rm --network none -v shared:/data -v /own", "tiny", "sleep", "1000"),
		made("run -d --network none --health-cmd true --health-interval 50ms", "tiny", "sleep", "1000"),
		made("run -d --network none --timeout 1", "tiny", "sleep", "1000"),
		made("create --network none -v /own", "tiny", "sleep", "1000"),
		{"start", name}, {"start", name}, {"stop", "-t", "0", name}, {"kill", name}, {"restart", "-t", "0", name},
		{"exec", name, "true"}, {"exec", "-d", name, "sleep", "1000"}, {"healthcheck", "run", name},
		{"pause", name}, {"unpause", name}, {"rename", name, "c" + strconv.Itoa(r.IntN(6))},
		{"cp", file, name + ":/tmp/file"}, {"cp", name + ":/etc", filepath.Join(u.work, "etc"+mark)},
		{"commit", name, "image"}, {"rmi", "-f", "image"},
		{"rm", "-f", name}, {"rm", "-f", "-v", name}, {"volume", "rm", "shared"}, {"volume", "prune", "-f"}, {"container", "prune", "-f"},
		{"ps", "-a"}, {"logs", name},
	}
	return all[r.IntN(len(all))]
}

// atOnce types a command, one time in three two.
func (u *login) atOnce(t *testing.T, r *rand.Rand, i int) {
	var all sync.WaitGroup
	for n := range 1 + r.IntN(3)/2 {
		args, its := u.randomCommand(r, fmt.Sprintf("%s%d-%d", markPrefix(), i, n)), rand.New(rand.NewPCG(r.Uint64(), 0))
		all.Go(func() {
			what, err := u.disturb(its, args)
			if err != nil {
				t.Error(err)
			}
			t.Log(time.Now().Format(time.StampMilli), strings.Join(args, " "), what)
		})
	}
	if all.Wait(); t.Failed() {
		t.FailNow()
	}
}

// disturb runs a command; one time in three it, a monitor, or a child of theirs is killed in the midst of it.
func (u *login) disturb(r *rand.Rand, args []string) (what string, err error) {
	cmd := u.rl(args...)
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	if r.IntN(3) == 0 {
		time.Sleep(time.Duration(r.Int64N(int64(60 * time.Millisecond)))) // the moment is what is varied
		monitors := u.ours("rl-monitor ")
		switch victims := below(append(monitors, proc{pid: cmd.Process.Pid})); {
		case r.IntN(2) == 0 && len(monitors) > 0:
			what = kill(monitors[r.IntN(len(monitors))])
		case r.IntN(2) == 0 && len(victims) > 0:
			what = kill(victims[r.IntN(len(victims))])
		default:
			cmd.Process.Kill()
			what = ": killed"
		}
	}
	for _, wait := range []time.Duration{2 * time.Second, patience} {
		select {
		case <-ended:
			return what, nil
		case <-time.After(wait):
			u.unpause(args)
		}
	}
	cmd.Process.Signal(unix.SIGQUIT)
	return what, fmt.Errorf("rl %v hangs", args)
}

// unpause lets the container of a command go on. What was on its way into one when the other command paused it waits for that, as with
// docker.
func (u *login) unpause(args []string) {
	for _, word := range args {
		if name, _, _ := strings.Cut(word, ":"); len(name) == 2 && name[0] == 'c' {
			u.rl("unpause", name).Run()
		}
	}
}

func kill(p proc) string {
	unix.Kill(p.pid, unix.SIGKILL)
	return ": killed " + p.String()
}

// below are the children of processes: helpers, checks, containers on their way.
func below(parents []proc) []proc {
	is := map[int]bool{}
	for _, p := range parents {
		is[p.pid] = true
	}
	return processes(func(dir string) bool {
		_, parent := stat(dir)
		return is[parent]
	})
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
	out, err := u.rl("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.State}} {{.Names}} {{.Status}}").Output()
	if err != nil {
		return fmt.Errorf("rl ps -a: %w", err)
	}
	told, names := map[string]toldOf{}, map[string]string{}
	for line := range strings.Lines(string(out)) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 4)
		told[f[0]] = toldOf{f[1], f[3]}
		if other := names[f[2]]; other != "" {
			return fmt.Errorf("containers %s and %s have the same name %s", other, f[0], f[2])
		}
		names[f[2]] = f[0]
	}
	lives := living()
	for _, place := range []string{"containers", "transient"} {
		entries, _ := os.ReadDir(filepath.Join(u.data, place))
		for _, e := range entries {
			mark := markOf(filepath.Join(u.data, place, e.Name()))
			state, listed := told[e.Name()]
			if place == "containers" && !listed && mark != "" {
				return fmt.Errorf("container %s is not listed", e.Name())
			}
			if err := state.against(lives[mark]); err != nil {
				return fmt.Errorf("container %s: told %q: %w", e.Name(), state, err)
			}
			delete(told, e.Name())
			delete(lives, mark)
		}
	}
	for id, state := range told {
		return fmt.Errorf("container %s is told to be %s, and isn't there", id, state)
	}
	for mark, pids := range lives {
		return fmt.Errorf("process %d of container number %s is left, and nothing of that on disk", pids[0], mark)
	}
	return nil
}

// toldOf is what rl ps tells of a container.
type toldOf struct{ state, status string }

// against compares it with the container's processes.
func (s toldOf) against(pids []int) error {
	running := s.state == "running" || s.state == "paused"
	if running != (len(pids) > 0) && s.state != "restarting" {
		return fmt.Errorf("its processes are %v", pids)
	}
	if !running && strings.Contains(s.status, "healthy") {
		return errors.New("who doesn't run isn't well or ill")
	}
	still := 0
	for _, pid := range pids {
		if state, _ := stat("/proc/" + strconv.Itoa(pid)); state == 'T' {
			still++
		}
	}
	if s.state == "paused" && still < len(pids) || s.state == "running" && still > 0 {
		return fmt.Errorf("%d of its processes %v stand still", still, pids)
	}
	return nil
}

// living are the processes that bear a mark, by it: their program was started in a container.
func living() map[string][]int {
	all := map[string][]int{}
	for _, p := range processes(func(dir string) bool { return true }) {
		env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.pid))
		for word := range strings.SplitSeq(string(env), "\x00") {
			if mark, ok := strings.CutPrefix(word, markName+"="); ok && strings.HasPrefix(mark, markPrefix()) {
				all[mark] = append(all[mark], p.pid)
			}
		}
	}
	return all
}

// markOf is the mark of a container on disk, "" where nothing is recorded of it (yet, or any more).
func markOf(dir string) string {
	var record struct{ Labels map[string]string }
	b, err := os.ReadFile(filepath.Join(dir, "record.json"))
	if err != nil || json.Unmarshal(b, &record) != nil {
		return ""
	}
	return record.Labels[markName]
}
