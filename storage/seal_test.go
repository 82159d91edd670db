package storage

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rl-containers/rl/sys"
)

// announceIn renews the time of the directory, also where the clock's tick is coarse.
func announceIn(s *Store) {
	dir := filepath.Join(s.DataDir, kept)
	d, _ := openDir(dir)
	defer d.Close()
	for before := placeOf(d); placeOf(d) == before; {
		(&Container{Dir: filepath.Join(dir, "any")}).announce().Close()
	}
}

// behind changes the image in a container's record without a word.
func behind(t *testing.T, s *Store, i int) {
	t.Helper()
	dir := filepath.Join(s.DataDir, kept, fmt.Sprintf("%064d", i))
	r, err := ReadRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	r.Image = "second"
	away := &Container{Dir: filepath.Join(t.TempDir(), filepath.Base(dir))}
	if err := os.Mkdir(away.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := away.Write(recordFile, r); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(away.Dir, recordFile), filepath.Join(dir, recordFile)); err != nil {
		t.Fatal(err)
	}
}

func image(t *testing.T, s *Store, i int) string {
	t.Helper()
	return later(t, s)[i].Image
}

// TestSeal: those that don't run aren't looked at, until somebody says that something changes.
func TestSeal(t *testing.T) {
	s := someContainers(t, 40)
	check(t, later(t, s), 40)
	behind(t, s, 7)
	if got := image(t, s, 7); got != "first" {
		t.Errorf("%s: it was looked at", got)
	}
	announceIn(s)
	if got := image(t, s, 7); got != "second" {
		t.Errorf("%s: it was not looked at", got)
	}
	// One that ran is looked at, when the kernel says that it has ended.
	c := &Container{Dir: filepath.Join(s.DataDir, kept, fmt.Sprintf("%064d", 8))}
	if err := c.WriteLife(&Life{Pid: 1 << 30, Start: 1, BootID: sys.BootID()}); err != nil {
		t.Fatal(err)
	}
	announceIn(s)
	before := image(t, s, 8)
	if behind(t, s, 8); before != "first" || image(t, s, 8) != "second" {
		t.Error("one that ran was not looked at")
	}
	// The store was moved: the index is that of another place.
	to := filepath.Join(t.TempDir(), "moved")
	if err := os.Rename(s.DataDir, to); err != nil {
		t.Fatal(err)
	}
	s.DataDir = to
	if n := len(later(t, s)); n != 40 {
		t.Errorf("%d containers", n)
	}
}

// TestNoSealWhileSomethingChanges: of a writer that stands still between the word and the deed.
func TestNoSealWhileSomethingChanges(t *testing.T) {
	s := someContainers(t, 40)
	change := (&Container{Dir: filepath.Join(s.DataDir, kept, fmt.Sprintf("%064d", 7))}).announce()
	check(t, later(t, s), 40)
	behind(t, s, 7)
	change.Close()
	if got := image(t, s, 7); got != "second" {
		t.Errorf("%s: it was not looked at", got)
	}
	// What is younger than two seconds is no seal.
	announceIn(s)
	if _, err := s.List(); err != nil {
		t.Fatal(err)
	}
	behind(t, s, 9)
	if got := image(t, s, 9); got != "second" {
		t.Errorf("%s: it was not looked at", got)
	}
}

// TestSealUnderChange: whatever was written before a list began is in the list. Here 50 ms are long enough ago for a seal.
func TestSealUnderChange(t *testing.T) {
	s := someContainers(t, 40)
	list := func() []State {
		l := s.lister(time.Now().Add(-50 * time.Millisecond))
		if err := l.list(kept); err != nil {
			t.Error(err)
		}
		l.update()
		return l.states
	}
	stop := make(chan struct{})
	var wait sync.WaitGroup
	defer wait.Wait()
	defer close(stop)
	wait.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				list()
			}
		}
	})
	sealed := 0
	for n := range 60 {
		if n%3 == 0 {
			time.Sleep(70 * time.Millisecond)
		}
		if readIndex(s.indexFile(), sys.BootID()).seal.ino != 0 {
			sealed++
		}
		add(t, s, n%40, fmt.Sprint("image", n))
		for _, one := range list() {
			if one.Name == fmt.Sprint("name", n%40) && one.Image != fmt.Sprint("image", n) {
				t.Errorf("%s after image%d was written", one.Image, n)
			}
		}
	}
	if sealed == 0 {
		t.Error("no index was ever sealed")
	}
}
