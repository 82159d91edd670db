package events

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func names(t *testing.T, dir string, o Options) (all []string) {
	t.Helper()
	if err := Read(dir, o, func(e *Event) error { all = append(all, e.Status); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWriteAndRead(t *testing.T) {
	dir := t.TempDir()
	base := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	code := 3
	Write(dir, Event{Type: Container, Status: "create", ID: "abc", Name: "web", Image: "docker.io/library/nginx:1", Time: base, Attributes: map[string]string{"a": "b"}},
		Event{Type: Container, Status: "died", ID: "abc", Name: "web", ContainerExitCode: &code, Time: base.Add(time.Second)})
	Write(dir, Event{Type: Image, Status: "pull", ID: "sha256:fff", Name: "docker.io/library/nginx:1", Time: base.Add(2 * time.Second)})
	Write(dir, Event{Type: Volume, Status: "remove", Name: "data", Time: base.Add(3 * time.Second)})
	for words, want := range map[string]string{
		"":                                   "create died pull remove",
		"container=web":                      "create died",
		"container=ab":                       "create died",
		"container=eb":                       "",
		"event=die":                          "died",
		"event=create event=pull":            "create pull",
		"event=create event=pull type=image": "pull",
		"image=nginx":                        "create pull",
		"image=nginx:1":                      "create pull",
		"image=fff":                          "pull",
		"label=a":                            "create",
		"label=a=b":                          "create",
		"label=a=c":                          "",
		"volume=data":                        "remove",
		"status=destroy":                     "remove",
	} {
		f, err := ParseFilter(strings.Fields(words))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(names(t, dir, Options{Filter: f}), " "); got != want {
			t.Errorf("%q: %q, not %q", words, got, want)
		}
	}
	for _, wrong := range []string{"x=y", "event", "event="} {
		if _, err := ParseFilter([]string{wrong}); err == nil {
			t.Errorf("%q was taken", wrong)
		}
	}
	if got := names(t, dir, Options{Since: base.Add(time.Second), Until: base.Add(2 * time.Second)}); !slices.Equal(got, []string{"died", "pull"}) {
		t.Error(got)
	}
	if st, err := os.Stat(filepath.Join(dir, FileName)); err != nil || st.Mode() != 0o600 {
		t.Error(st.Mode(), err)
	}
}

// TestMany: writers at once, over a rotation, mix no lines and lose none; a follower sees each once.
func TestMany(t *testing.T) {
	dir := t.TempDir()
	const writers, each = 8, 2000
	long := strings.Repeat("x", 400)
	seen, done := map[string]int{}, make(chan error)
	var stopped = fmt.Errorf("seen all")
	Write(dir, Event{Type: System, Status: "first"})
	started := make(chan struct{})
	go func() {
		done <- Read(dir, Options{Follow: true}, func(e *Event) error {
			if e.Status == "first" {
				close(started)
				return nil
			}
			if seen[e.ID]++; len(seen) == writers*each {
				return stopped
			}
			return nil
		})
	}()
	<-started
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for i := range each {
				Write(dir, Event{Type: Container, Status: "exec", ID: fmt.Sprint(w, "-", i), Name: long})
			}
		})
	}
	wait.Wait()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "seen all") {
		t.Fatal(err)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was seen %d times", id, n)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, before)); err != nil {
		t.Error("there was no rotation: ", err)
	}
}

// TestBroken: a torn line and foreign bytes are passed over, what can't be written is no error.
func TestBroken(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, FileName), []byte("\x00\n{\"Status\":\"x\"}\n{\"Type\":\"container\",\"Status\":\"to\n"), 0o600)
	Write(dir, Event{Type: System, Status: "good"})
	if got := names(t, dir, Options{}); !slices.Equal(got, []string{"good"}) {
		t.Error(got)
	}
	Write(filepath.Join(dir, "nowhere"), Event{Type: System, Status: "lost"})
	if got := names(t, t.TempDir(), Options{}); got != nil {
		t.Error(got)
	}
}

// TestTorn: of a line whose writer was killed, or met a full disk, only that event is lost.
func TestTorn(t *testing.T) {
	dir := t.TempDir()
	for _, torn := range []string{`{"Status":"x"`, "\x00\x00", `{"ID":"` + strings.Repeat("x", 100<<10)} {
		f, err := os.OpenFile(filepath.Join(dir, FileName), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(torn)
		f.Close()
		Write(dir, Event{Type: System, Status: "good"})
	}
	if got := names(t, dir, Options{}); !slices.Equal(got, []string{"good", "good", "good"}) {
		t.Error(got)
	}
}

// TestBounded: no event is longer than a reader takes, and what can't be renamed doesn't grow.
func TestBounded(t *testing.T) {
	dir := t.TempDir()
	huge := map[string]string{"label": strings.Repeat("x", 1<<20)}
	Write(dir, Event{Type: Container, Status: "create", Name: "web", Attributes: huge}, Event{Type: Container, Status: "lost", Name: huge["label"]})
	if got := names(t, dir, Options{Filter: Filter{"container": {"web"}}}); !slices.Equal(got, []string{"create"}) {
		t.Error(got)
	}
	path := filepath.Join(dir, FileName)
	if st, err := os.Stat(path); err != nil || st.Size() > maxLine {
		t.Error(st.Size(), err)
	}
	if err := os.MkdirAll(filepath.Join(dir, before, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 3*maxSize); err != nil {
		t.Fatal(err)
	}
	Write(dir, Event{Type: System, Status: "more"})
	if st, err := os.Stat(path); err != nil || st.Size() != 3*maxSize {
		t.Error(st.Size(), err)
	}
}

// TestNoFile: what is there under the name of the file is neither followed nor waited for.
func TestNoFile(t *testing.T) {
	dir := t.TempDir()
	path, elsewhere := filepath.Join(dir, FileName), filepath.Join(dir, "elsewhere")
	if err := os.Symlink(elsewhere, path); err != nil {
		t.Fatal(err)
	}
	Write(dir, Event{Type: System, Status: "lost"})
	if _, err := os.Lstat(elsewhere); err == nil {
		t.Error("a link was followed")
	}
	os.Remove(path)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	Write(dir, Event{Type: System, Status: "lost"}) // a FIFO without a reader would block
}

// TestEmptied: who follows a file that somebody empties goes on at its beginning.
func TestEmptied(t *testing.T) {
	dir := t.TempDir()
	r := &reader{Options: &Options{}, dir: dir, buf: make([]byte, 64<<10)}
	var all []string
	r.show = func(e *Event) error { all = append(all, e.Status); return nil }
	for _, status := range []string{"first", "second"} {
		os.Truncate(filepath.Join(dir, FileName), 0)
		if err := r.drain(); err != nil {
			t.Fatal(err)
		}
		Write(dir, Event{Type: System, Status: status})
		if err := r.drain(); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(all, []string{"first", "second"}) {
		t.Error(all)
	}
}

func TestUntilEndsFollowing(t *testing.T) {
	dir := t.TempDir()
	Write(dir, Event{Type: System, Status: "one"})
	if got := names(t, dir, Options{Follow: true, Until: time.Now().Add(50 * time.Millisecond)}); !slices.Equal(got, []string{"one"}) {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"Status":"create","Type":"container","Time":"2026-01-02T03:04:05Z","Attributes":{"a":"b"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if e, ok := parse(line); ok {
			Filter{"label": {"a"}, "image": {"x:y"}}.matches(&e)
		}
	})
}

func BenchmarkWrite(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		Write(dir, Event{Type: Container, Status: "create", ID: strings.Repeat("a", 64), Name: "web", Image: "docker.io/library/nginx:latest"})
	}
}
