package storage

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// claimed makes a kept container with a name.
func claimed(t *testing.T, s *Store, id, name string) {
	t.Helper()
	c, err := s.NewContainer(id, name)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Write(recordFile, &Record{ID: id, Name: name}); err != nil {
		t.Fatal(err)
	}
	if err := c.Keep(); err != nil {
		t.Fatal(err)
	}
}

// TestRenameKilled: at each of its steps the record says the name, and the other is free.
func TestRenameKilled(t *testing.T) {
	for at, record := range map[string]string{"before the record": "old", "after the record": "new"} {
		s := &Store{DataDir: t.TempDir()}
		claimed(t, s, "a", "old")
		if err := os.Symlink("a", filepath.Join(s.DataDir, names, "new")); err != nil {
			t.Fatal(err)
		}
		if err := (&Container{Dir: filepath.Join(s.DataDir, kept, "a")}).Write(recordFile, &Record{ID: "a", Name: record}); err != nil {
			t.Fatal(err)
		}
		free := map[string]string{"old": "new", "new": "old"}[record]
		if _, ok := s.Named(free); ok {
			t.Errorf("%s: it is found by %q", at, free)
		}
		if one, ok := s.Named(record); !ok || one.ID != "a" {
			t.Errorf("%s: it isn't found by %q", at, record)
		}
		if _, err := s.NewContainer("b", record); !errors.Is(err, ErrNameInUse) {
			t.Errorf("%s: a second %q: %v", at, record, err)
		}
		claimed(t, s, "c", free)
		if one, ok := s.Named(free); !ok || one.ID != "c" {
			t.Errorf("%s: another isn't found by %q", at, free)
		}
	}
}

// TestSweepNames removes the links of renames and removals that were killed, and no others.
func TestSweepNames(t *testing.T) {
	s := &Store{DataDir: t.TempDir()}
	claimed(t, s, "a", "one")
	c, err := s.NewContainer("b", "made") // being made: it has no record
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for name, id := range map[string]string{"two": "a", "gone": "x"} {
		if err := os.Symlink(id, filepath.Join(s.DataDir, names, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.SweepNames()
	for name, want := range map[string]bool{"one": true, "made": true, "two": false, "gone": false} {
		if _, err := os.Lstat(filepath.Join(s.DataDir, names, name)); (err == nil) != want {
			t.Errorf("the name %q: %v", name, err)
		}
	}
}
