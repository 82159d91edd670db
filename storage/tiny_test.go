package storage

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// tinyBinary is a stand-in for rl-tiny: all that unpacking asks of it is a list of names.
func tinyBinary(t *testing.T, path, list string) {
	t.Helper()
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte("#!/bin/sh\nprintf '"+list+"'\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
}

func mustTiny(t *testing.T, data, binary string) *Image {
	t.Helper()
	img, err := Tiny(data, binary)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// trees are the entries of tiny/ but the lock.
func trees(t *testing.T, data string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(data, "tiny"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		if e.Name() != ".lock" {
			all = append(all, e.Name())
		}
	}
	return all
}

func age(t *testing.T, data string, by time.Duration) {
	t.Helper()
	for _, key := range trees(t, data) {
		path := filepath.Join(data, "tiny", key)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, info.ModTime().Add(-by)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTinyTree(t *testing.T) {
	data, binary := t.TempDir(), filepath.Join(t.TempDir(), "rl-tiny")
	tinyBinary(t, binary, "sh\\n[\\nls\\n")
	img := mustTiny(t, data, binary)
	root := filepath.Join(img.Base, img.Layers[0])
	if len(img.ID) != 64 || strings.Trim(img.ID, "0123456789abcdef") != "" {
		t.Errorf("id %q", img.ID)
	}
	for name, mode := range map[string]os.FileMode{"": 0o755, "bin/rl-tiny": 0o755, "etc/passwd": 0o644, "tmp": 0o777, "root": 0o700} {
		info, err := os.Lstat(filepath.Join(root, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q: %v, %v; want mode %o", name, info, err, mode)
		}
	}
	for _, name := range []string{"sh", "[", "ls"} {
		if target, err := os.Readlink(filepath.Join(root, "bin", name)); target != "rl-tiny" {
			t.Errorf("bin/%s -> %q, %v", name, target, err)
		}
	}
	want, _ := os.ReadFile(binary)
	if got, err := os.ReadFile(filepath.Join(root, "usr/bin/rl-tiny")); err != nil || string(got) != string(want) {
		t.Errorf("usr/bin/rl-tiny: %q, %v", got, err)
	}
	if again := mustTiny(t, data, binary); again.ID != img.ID || !slices.Equal(again.Layers, img.Layers) {
		t.Errorf("a second call gave another image: %+v, %+v", img, again)
	}
}

// TestTinyParallel: many start at once, as goroutines and as processes; one tree comes out of it, whole for each of them.
func TestTinyParallel(t *testing.T) {
	data, binary := os.Getenv("TINY_DATA"), os.Getenv("TINY_BINARY")
	if data != "" { // one of the processes
		mustTiny(t, data, binary)
		return
	}
	data, binary = t.TempDir(), filepath.Join(t.TempDir(), "rl-tiny")
	tinyBinary(t, binary, "sh\\nls\\n")
	const n = 8
	errs := make(chan error, 2*n)
	for range n {
		go func() {
			img, err := Tiny(data, binary)
			if err == nil {
				_, err = os.Stat(filepath.Join(img.Base, img.Layers[0], "bin/ls"))
			}
			errs <- err
		}()
		go func() {
			cmd := exec.Command(os.Args[0], "-test.run=^TestTinyParallel$")
			cmd.Env = append(os.Environ(), "TINY_DATA="+data, "TINY_BINARY="+binary)
			out, err := cmd.CombinedOutput()
			if err != nil {
				err = errors.New(string(out))
			}
			errs <- err
		}()
	}
	for range 2 * n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if all := trees(t, data); len(all) != 1 {
		t.Errorf("left: %q", all)
	}
}

// TestTinyReplaced: a new binary makes a new tree; old ones go when nobody can stand on them any more.
func TestTinyReplaced(t *testing.T) {
	data, binary := t.TempDir(), filepath.Join(t.TempDir(), "rl-tiny")
	var keys []string
	unpack := func() {
		tinyBinary(t, binary, "sh\\n"+strings.Repeat("x", len(keys)+1)+"\\n")
		keys = append(keys, mustTiny(t, data, binary).Layers[0])
	}
	unpack()
	unpack()
	if keys[0] == keys[1] {
		t.Fatal("another binary got the same key")
	}
	unpack()
	if all := trees(t, data); len(all) != 3 {
		t.Errorf("trees went within the hour: %q", all)
	}
	// A kept container stands on the second; the first is nobody's, the third was current until now.
	dir := filepath.Join(data, kept, "c")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "record.json"), []byte(`{"ID":"c","ImageID":"`+keys[1]+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	age(t, data, 2*tinyGrace)
	unpack()
	all, want := trees(t, data), slices.Sorted(slices.Values(keys[1:]))
	if slices.Sort(all); !slices.Equal(all, want) {
		t.Errorf("left %q, want %q", all, want)
	}
}

// TestTinyStaged: what a killed one staged is not taken for a tree, and goes with the next unpacking.
func TestTinyStaged(t *testing.T) {
	data, binary := t.TempDir(), filepath.Join(t.TempDir(), "rl-tiny")
	tinyBinary(t, binary, "sh\\n")
	half := filepath.Join(data, "tiny", tinyStage+"some-boot-1", "bin")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	img := mustTiny(t, data, binary)
	if all := trees(t, data); !slices.Equal(all, img.Layers) {
		t.Errorf("left %q, want %q", all, img.Layers)
	}
}

// TestTinyFailures: nothing half is left, and the error names what is wrong.
func TestTinyFailures(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "rl-tiny")
	for list, want := range map[string]string{"": "cut short", "sh": "cut short", "../evil\\n": "bad name", "..\\n": "bad name"} {
		data := t.TempDir()
		tinyBinary(t, binary, list)
		if _, err := Tiny(data, binary); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("list %q: error %v, want %q", list, err, want)
		}
		if all := trees(t, data); len(all) != 0 {
			t.Errorf("list %q left %q", list, all)
		}
	}
	if _, err := Tiny(t.TempDir(), filepath.Join(t.TempDir(), "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing binary: %v", err)
	}
	if os.Geteuid() == 0 {
		return // root writes anywhere
	}
	tinyBinary(t, binary, "sh\\n")
	closed := t.TempDir()
	if err := os.Chmod(closed, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Tiny(closed, binary); !errors.Is(err, os.ErrPermission) {
		t.Errorf("read-only data directory: %v", err)
	}
}
