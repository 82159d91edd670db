package test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// TestCrowd: ten shells start containers at once, and then twenty run what ends at once. None is lost, none is stuck, nothing is left.
func TestCrowd(t *testing.T) {
	u := newLogin(t)
	u.must(t, "run", "--rm", "tiny", "true") // unpacks the image
	inShells(t, 10, 5, func(shell, i int) error {
		out, err := u.rl("run", "-d", "--name", fmt.Sprintf("c%d-%d", shell, i), "tiny", "sleep", "1000").CombinedOutput()
		return withOutput(err, out)
	})
	if n := len(strings.Fields(u.must(t, "ps", "-q", "--filter", "status=running"))); n != 50 {
		t.Errorf("%d of 50 containers run", n)
	}
	if n := len(u.ours("rl-monitor ")); n != 50 {
		t.Errorf("%d monitors for 50 containers", n)
	}
	inShells(t, 20, 10, func(shell, i int) error {
		word := fmt.Sprintf("word%d-%d", shell, i)
		out, err := u.rl("run", "--rm", "tiny", "echo", word).CombinedOutput()
		if err == nil && strings.TrimSpace(string(out)) != word {
			err = fmt.Errorf("not %s", word)
		}
		return withOutput(err, out)
	})
	inShells(t, 10, 5, func(shell, i int) error {
		out, err := u.rl("exec", fmt.Sprintf("c%d-%d", shell, i), "true").CombinedOutput()
		return withOutput(err, out)
	})
	if err := eventually(func() error { return slender(u.ours("rl-monitor ")) }); err != nil {
		t.Error(err)
	}
	u.must(t, "stop", "-t", "0", "--all")
	u.must(t, "rm", "--all")
	if err := eventually(func() error { return nothingLeft(u.work, u.data) }); err != nil {
		t.Error(err)
	}
}

// mostMonitor is what a monitor that waits may weigh, in KiB of memory that is its own (proc_pid_smaps(5), Pss): there may be hundreds.
const mostMonitor = 1100

// slender: the monitors weigh no more than that on average.
func slender(monitors []proc) error {
	sum := 0
	for _, p := range monitors {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(string(b), "\nPss:")
		kib := 0
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			return fmt.Errorf("smaps_rollup: %q: %w", b, err)
		}
		sum += kib
	}
	if n := len(monitors); n == 0 || sum/n > mostMonitor {
		return fmt.Errorf("%d monitors weigh %d KiB", n, sum)
	}
	return nil
}

// inShells does something so many times in each of so many shells, which don't wait for each other.
func inShells(t *testing.T, shells, times int, do func(shell, i int) error) {
	t.Helper()
	var all sync.WaitGroup
	for shell := range shells {
		all.Go(func() {
			for i := range times {
				if err := do(shell, i); err != nil {
					t.Errorf("shell %d, %d: %v", shell, i, err)
				}
			}
		})
	}
	all.Wait()
}

func withOutput(err error, out []byte) error {
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return err
}
