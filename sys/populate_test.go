package sys

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestPopulateKeepsContents(t *testing.T) {
	s := make([]string, 5000, 9000)
	for i := range s {
		s[i] = fmt.Sprint(i)
	}
	Populate(s)
	for i := range s {
		if s[i] != fmt.Sprint(i) {
			t.Fatalf("%d is %q", i, s[i])
		}
	}
	Populate([]byte(nil))
	Populate(make([]byte, 3))
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []int{0, 3, 3000} {
		var want []string
		for i := range n {
			name := fmt.Sprintf("%0*d", 1+i%200, i)
			want = append(want, name)
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		d, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Names(d)
		d.Close()
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, slices.Compact(want)) {
			t.Errorf("%d names of %d, %v", len(got), n, err)
		}
	}
}

func TestMapFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, content := range []string{"", "x", "some text"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := MapFile(path); err != nil || got != content {
			t.Errorf("%q, %v; not %q", got, err, content)
		}
	}
	if got, _ := MapFile(filepath.Dir(path)); got != "" {
		t.Errorf("a directory reads %q", got)
	}
	if _, err := MapFile(path + "none"); err == nil {
		t.Error("a file that isn't there is no error")
	}
}
