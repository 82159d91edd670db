package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rl-containers/rl/sys"
)

// someContainers makes n that have ended, written long enough ago for an index: the clock of a list is what counts.
func someContainers(t *testing.T, n int) *Store {
	t.Helper()
	s := &Store{DataDir: t.TempDir()}
	for i := range n {
		add(t, s, i, "first")
	}
	return s
}

func add(t *testing.T, s *Store, i int, image string) {
	t.Helper()
	c := &Container{Dir: filepath.Join(s.DataDir, kept, fmt.Sprintf("%064d", i))}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r := &Record{ID: filepath.Base(c.Dir), Name: fmt.Sprint("name", i), Image: image, Command: []string{"sh", "-c", "a && b"}, Created: time.Now()}
	if err := c.Write(recordFile, r); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteLife(&Life{Pid: 99, Start: 1, BootID: "x", Finished: time.Now(), ExitCode: i % 100}); err != nil {
		t.Fatal(err)
	}
}

// later is List at a time at which all that is there is old enough for the index.
func later(t *testing.T, s *Store) []State {
	t.Helper()
	l := s.lister(time.Now().Add(time.Hour))
	if err := l.list(kept); err != nil {
		t.Fatal(err)
	}
	l.update()
	slices.SortFunc(l.states, func(a, b State) int { return strings.Compare(a.ID, b.ID) })
	return l.states
}

// missed is how many containers the index lacks.
func missed(t *testing.T, s *Store) int32 {
	t.Helper()
	l := s.lister(time.Now().Add(time.Hour))
	if err := l.list(kept); err != nil {
		t.Fatal(err)
	}
	return l.missed.Load()
}

func check(t *testing.T, states []State, n int) {
	t.Helper()
	if len(states) != n {
		t.Fatalf("%d containers, not %d", len(states), n)
	}
	for i, s := range states {
		if s.Name != fmt.Sprint("name", i) || s.ExitCode != i%100 || s.Status != Exited || s.Running || s.Command[2] != "a && b" {
			t.Fatalf("container %d: %+v", i, s)
		}
	}
}

func TestIndexIsUsedAndFollowsTheFiles(t *testing.T) {
	s := someContainers(t, 40)
	check(t, later(t, s), 40)
	if n := missed(t, s); n != 0 {
		t.Errorf("the index lacks %d", n)
	}
	check(t, later(t, s), 40)
	// Changed, added, removed: seen at once, with the index as it was.
	add(t, s, 3, "second")
	add(t, s, 40, "first")
	if err := os.RemoveAll(filepath.Join(s.DataDir, kept, fmt.Sprintf("%064d", 39))); err != nil {
		t.Fatal(err)
	}
	states := later(t, s)
	if len(states) != 40 || states[3].Image != "second" || states[39].Name != "name40" {
		t.Errorf("%d containers, %+v, %+v", len(states), states[3], states[39])
	}
	// What else happens in a directory doesn't make it read again.
	if err := os.WriteFile(filepath.Join(s.DataDir, kept, fmt.Sprintf("%064d", 7), "stopped"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if n := missed(t, s); n != 0 {
		t.Errorf("the index lacks %d", n)
	}
	// A life that is gone is none.
	announceIn(s)
	if err := os.Remove(filepath.Join(s.DataDir, kept, fmt.Sprintf("%064d", 5), stateFile)); err != nil {
		t.Fatal(err)
	}
	if states = later(t, s); states[5].Status != Created || states[5].Pid != 0 {
		t.Errorf("%+v", states[5])
	}
}

func TestIndexSmallStoreHasNone(t *testing.T) {
	s := someContainers(t, 10)
	check(t, later(t, s), 10)
	if _, err := os.Lstat(s.indexFile()); err == nil {
		t.Error("an index for ten containers")
	}
}

func TestIndexLeavesOutWhatIsYoung(t *testing.T) {
	s := someContainers(t, 40)
	all, err := s.List()
	if err != nil || len(all) != 40 {
		t.Fatal(len(all), err)
	}
	if n := readIndex(s.indexFile(), sys.BootID()).unread(); n != 0 {
		t.Errorf("%d containers of this second are in the index", n)
	}
}

func TestIndexBroken(t *testing.T) {
	s := someContainers(t, 40)
	later(t, s)
	good, err := os.ReadFile(s.indexFile())
	if err != nil {
		t.Fatal(err)
	}
	whole := slices.Clone(good)
	copy(good[len(indexMagic):], "of another boot than the one that is") // of this one, only the length is looked at
	zeros := slices.Clone(good)
	clear(zeros[len(zeros)/2:])
	huge := slices.Clone(good)
	for i := range 8 {
		huge[len(indexMagic)+bootSize+sumSize+sealSize+i] = 0x7f
	}
	flipped := slices.Clone(good)
	for i := len(indexMagic) + headSize; i < len(flipped); i += 97 {
		flipped[i] ^= 0x55
	}
	for name, content := range map[string][]byte{"empty": {}, "other": []byte("something else"), "cut": good[:len(good)-7], "cut head": good[:len(indexMagic)+5],
		"zeros": zeros, "flipped": flipped, "huge": huge, "magic only": []byte(indexMagic), "cut of this boot": whole[:len(whole)-7]} {
		if err := os.WriteFile(s.indexFile(), content, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) { check(t, later(t, s), 40) })
	}
	os.Remove(s.indexFile())
	if err := os.Mkdir(s.indexFile(), 0o700); err != nil {
		t.Fatal(err)
	}
	check(t, later(t, s), 40)
	if _, err := os.Lstat(s.indexFile() + ".new"); err == nil {
		t.Error("the staged index is left")
	}
}

func TestIndexStagedByTheDead(t *testing.T) {
	s := someContainers(t, 40)
	stage := s.indexFile() + ".new"
	if err := os.WriteFile(stage, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	check(t, later(t, s), 40)
	if _, err := os.Lstat(stage); err != nil {
		t.Error("a writer that may live was disturbed")
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(stage, old, old); err != nil {
		t.Fatal(err)
	}
	later(t, s) // takes it away
	check(t, later(t, s), 40)
	if n := missed(t, s); n != 0 {
		t.Errorf("no index was written: it lacks %d", n)
	}
}

func TestIndexConcurrentWriters(t *testing.T) {
	s := someContainers(t, 60)
	var wait sync.WaitGroup
	for w := range 8 {
		wait.Go(func() {
			for round := range 20 {
				if w == 0 {
					os.Remove(s.indexFile())
				}
				if w == 1 {
					add(t, s, round%60, "second")
				}
				if n := len(later(t, s)); n != 60 {
					t.Errorf("%d containers", n)
				}
			}
		})
	}
	wait.Wait()
	states := later(t, s)
	check(t, states, 60)
	for i := range 20 {
		if states[i].Image != "second" {
			t.Errorf("container %d is that of before", i)
		}
	}
}

// TestLostEndsAreDoubtful: what a list says of them is asked for again; one that is really lost stays so.
func TestLostEndsAreDoubtful(t *testing.T) {
	s := someContainers(t, 1)
	boot := sys.BootID()
	lost := Life{Pid: 1 << 30, Start: 1, BootID: boot, Started: time.Now()}
	one := later(t, s)[0]
	if one.doubtful() {
		t.Errorf("it has ended in order: %+v", one)
	}
	one.Life = lost // read before the monitor wrote the end
	if one.judge(boot, func() bool { return false }); !one.doubtful() {
		t.Errorf("not doubtful: %+v", one)
	}
	if again, ok := look(one.Dir, boot); !ok || again.Error != "" || again.ExitCode != 0 {
		t.Errorf("%+v", again)
	}
	if err := (&Container{Dir: one.Dir}).WriteLife(&lost); err != nil {
		t.Fatal(err)
	}
	if all, err := s.List(); err != nil || len(all) != 1 || all[0].Error != lostMonitor || all[0].ExitCode != unknownCode {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestIndexManyInParallel: more than one worker reads, and what they find stays in its place.
func TestIndexManyInParallel(t *testing.T) {
	s := someContainers(t, 400)
	check(t, later(t, s), 400)
	for i := 0; i < 400; i += 7 {
		add(t, s, i, "second")
	}
	states := later(t, s)
	check(t, states, 400)
	for i := range states {
		if want := map[bool]string{true: "second", false: "first"}[i%7 == 0]; states[i].Image != want {
			t.Fatalf("container %d: %s, not %s", i, states[i].Image, want)
		}
	}
	if n := missed(t, s); n != 0 {
		t.Errorf("the index lacks %d", n)
	}
}

func FuzzIndex(f *testing.F) {
	one := appendEntry([]byte(indexMagic), &entry{dir: "a", record: mark{1, 2, 2}, life: mark{3, 4, 2}, packed: string(packState(new(State)))})
	f.Add(one[len(indexMagic):])
	f.Fuzz(func(t *testing.T, b []byte) {
		rest := string(b)
		for rest != "" {
			_, after, ok := cutEntry(rest)
			if !ok {
				return
			}
			if len(after) >= len(rest) {
				t.Fatal("no progress")
			}
			rest = after
		}
	})
}
