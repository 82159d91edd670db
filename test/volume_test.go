package test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKillVolume kills rl at random moments of a first use of a volume: whoever comes next finds all of the image's files in it, and
// what was anonymous is gone.
func TestKillVolume(t *testing.T) {
	u := newLogin(t)
	archive, err := u.fixtures.get("many")
	if err != nil {
		t.Fatal(err)
	}
	u.must(t, "load", "-q", "-i", archive)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	for range 12 {
		cmd := u.rl("run", "--rm", "--network", "none", "-v", "/anonymous", "-v", "victim:/many", "many", "true")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(random.Int64N(int64(700 * time.Millisecond)))) // what is varied; nothing is asserted about it
		cmd.Process.Kill()
		cmd.Wait()
		if random.IntN(3) > 0 {
			continue
		}
		if out := u.must(t, "run", "--rm", "-v", "victim:/many:ro", "many", "sh", "-c", "ls /many | wc -l"); !strings.HasSuffix(strings.TrimSpace(out), "5000") {
			t.Fatalf("the volume has %s files, want 5000", out)
		}
		u.must(t, "volume", "rm", "victim")
	}
	if err := eventually(func() error { return nothingLeft(u.work, "/nonexistent") }); err != nil {
		t.Fatal(err)
	}
	u.must(t, "run", "--rm", "many", "true") // collects
	u.must(t, "volume", "rm", "-f", "victim")
	if err := emptyDir(filepath.Join(u.data, "volumes")); err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
}
