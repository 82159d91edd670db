package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// tree makes files: a name that ends in "/" is a directory, "->" before a content makes a symlink.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if link, ok := strings.CutPrefix(content, "->"); ok && err == nil {
			err = os.Symlink(link, path)
		} else if strings.HasSuffix(name, "/") && err == nil {
			err = os.MkdirAll(path, 0o755)
		} else if err == nil {
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func pack(t *testing.T, dir, name string, o PackOptions) []byte {
	t.Helper()
	root := open(t, dir)
	p, err := Find(root, name, false)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	o.Warn = func(line string) { t.Log(line) }
	var b bytes.Buffer
	if err := Pack(&b, p, o); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t *testing.T, dir string) *sys.Root {
	t.Helper()
	root, err := sys.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestCopyRules are those of docker cp's manual.
func TestCopyRules(t *testing.T) {
	for _, c := range []struct {
		name, from, to string
		want           string // the file that is then there, or part of the error
	}{
		{"file, new name", "/f", "/new", "new"},
		{"file, directory must exist", "/f", "/new/", "!no such directory"},
		{"file, parent missing", "/f", "/no/new", "!/no: no such directory"},
		{"file over file", "/f", "/file", "file"},
		{"file into directory", "/f", "/dir", "dir/f"},
		{"file into directory, slash", "/f", "/dir/", "dir/f"},
		{"file, file is no directory", "/f", "/file/", "!not a directory"},
		{"directory, new name", "/d", "/new", "new/in"},
		{"directory, new name, slash", "/d", "/new/", "new/in"},
		{"directory over file", "/d", "/file", "!cannot copy a directory to a file"},
		{"directory into directory", "/d", "/dir", "dir/d/in"},
		{"contents into directory", "/d/.", "/dir", "dir/in"},
		{"contents, new name", "/d/.", "/new", "new/in"},
		{"symlink of a destination", "/f", "/link", "dir/f"},
		{"dangling symlink of a destination", "/f", "/dangling", "born"},
		{"symlink out of the root", "/f", "/out", "dir/f"},
	} {
		t.Run(c.name, func(t *testing.T) {
			from := tree(t, map[string]string{"f": "f", "d/in": "f"})
			to := tree(t, map[string]string{"file": "old", "dir/": "", "link": "->dir", "dangling": "->born", "out": "->../../../../dir"})
			name := filepath.Base(c.from)
			stream := pack(t, from, c.from, PackOptions{Name: name})
			err := Unpack(bytes.NewReader(stream), open(t, to), UnpackOptions{Path: c.to, Name: name, Host: true})
			if part, fails := strings.CutPrefix(c.want, "!"); fails {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Fatalf("%v, want %q", err, part)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := read(t, filepath.Join(to, c.want)); got != "f" {
				t.Errorf("%s holds %q", c.want, got)
			}
		})
	}
}

// TestRoundTrip: what a file system has comes through: names, links, holes, times, attributes.
func TestRoundTrip(t *testing.T) {
	from := tree(t, map[string]string{"a\nb": "newline", "ü\xff": "no utf-8", "deep/er/f": "x", "l": "->../nowhere", "hole": "", "long/" + strings.Repeat("n", 250): "long"})
	must(t, os.Link(filepath.Join(from, "a\nb"), filepath.Join(from, "z")))
	must(t, os.Truncate(filepath.Join(from, "hole"), 10<<20))
	must(t, os.Chmod(filepath.Join(from, "deep/er/f"), 0o4751))
	must(t, os.Chmod(filepath.Join(from, "deep/er"), 0o555))
	t.Cleanup(func() { os.Chmod(filepath.Join(from, "deep/er"), 0o755) })
	must(t, unix.Mkfifo(filepath.Join(from, "pipe"), 0o640))
	attrs := unix.Setxattr(filepath.Join(from, "z"), "user.mine", []byte("v"), 0) == nil
	unix.Setxattr(filepath.Join(from, "z"), "user.overlay.opaque", []byte("y"), 0)

	to := filepath.Join(t.TempDir(), "new")
	err := Unpack(bytes.NewReader(pack(t, from, "/", PackOptions{Name: "."})), open(t, filepath.Dir(to)), UnpackOptions{Path: "/new", Name: ".", Host: true})
	must(t, err)
	t.Cleanup(func() { os.Chmod(filepath.Join(to, "deep/er"), 0o755) })
	for _, name := range []string{"a\nb", "ü\xff", "deep/er/f", "hole", "long/" + strings.Repeat("n", 250)} {
		if read(t, filepath.Join(to, name)) != read(t, filepath.Join(from, name)) {
			t.Errorf("%q is another", name)
		}
	}
	one, two, hole, f, dir, pipe := stat(t, to+"/a\nb"), stat(t, to+"/z"), stat(t, to+"/hole"), stat(t, to+"/deep/er/f"), stat(t, to+"/deep/er"), stat(t, to+"/pipe")
	if one.Ino != two.Ino {
		t.Error("the hard link became a file")
	}
	if hole.Blocks > 64 {
		t.Errorf("the hole takes %d blocks", hole.Blocks)
	}
	if f.Mode&0o7777 != 0o751 { // without setuid
		t.Errorf("mode %o", f.Mode)
	}
	if was := stat(t, from+"/deep/er"); dir.Mode != was.Mode || dir.Mtim != was.Mtim {
		t.Error("mode or time of a directory")
	}
	if pipe.Mode != unix.S_IFIFO|0o640 {
		t.Errorf("pipe: mode %o", pipe.Mode)
	}
	if link, _ := os.Readlink(to + "/l"); link != "../nowhere" {
		t.Errorf("symlink to %q", link)
	}
	if v := make([]byte, 8); attrs {
		if n, err := unix.Getxattr(to+"/z", "user.mine", v); err != nil || string(v[:n]) != "v" {
			t.Errorf("user.mine: %v", err)
		}
		if _, err := unix.Getxattr(to+"/z", "user.overlay.opaque", v); err == nil {
			t.Error("an attribute of overlayfs came through")
		}
	}
}

func stat(t *testing.T, path string) (st unix.Stat_t) {
	t.Helper()
	must(t, unix.Lstat(path, &st))
	return st
}

// raw is an archive of these headers; a Size stands for as many x.
func raw(t *testing.T, all ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range all {
		h.Mode = 0o755
		must(t, w.WriteHeader(&h))
		w.Write(bytes.Repeat([]byte("x"), int(h.Size)))
	}
	must(t, w.Close())
	return b.Bytes()
}

// TestHostile: no archive reaches out of its destination.
func TestHostile(t *testing.T) {
	file := func(name string) tar.Header { return tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 1} }
	link := func(name, to string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
	}
	for name, c := range map[string]struct {
		top     string
		entries []tar.Header
		want    string
	}{
		"dotdot":                 {"", []tar.Header{file("../out")}, "leads out"},
		"dotdot in the middle":   {"", []tar.Header{file("a/../../out")}, "leads out"},
		"below a symlink":        {"", []tar.Header{link("a", ".."), file("a/out")}, "symlink at the destination"},
		"absolute symlink":       {"", []tar.Header{link("a", "/"), file("a/out")}, "symlink at the destination"},
		"over a symlink":         {"d", []tar.Header{{Typeflag: tar.TypeDir, Name: "d/"}, link("d/a", "../../out"), file("d/a")}, ""},
		"hard link out":          {"", []tar.Header{{Typeflag: tar.TypeLink, Name: "h", Linkname: "../secret"}}, "leads out"},
		"hard link by a symlink": {"", []tar.Header{link("a", ".."), {Typeflag: tar.TypeLink, Name: "h", Linkname: "a/secret"}}, "too many levels"},
		"another top":            {"d", []tar.Header{{Typeflag: tar.TypeDir, Name: "d/"}, file("e")}, "not below"},
		"device":                 {"", []tar.Header{{Typeflag: tar.TypeChar, Name: "null", Devmajor: 1, Devminor: 3}}, ""},
		"directory over symlink": {"", []tar.Header{link("a", ".."), {Typeflag: tar.TypeDir, Name: "a/"}}, "cannot overwrite"},
	} {
		t.Run(name, func(t *testing.T) {
			root := tree(t, map[string]string{"in/": "", "secret": "s"})
			err := Unpack(bytes.NewReader(raw(t, c.entries...)), open(t, root), UnpackOptions{Path: "/in", Name: c.top, Host: true, Warn: func(string) {}})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(hinted(err), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if _, err := os.Lstat(filepath.Join(root, "out")); !errors.Is(err, os.ErrNotExist) {
				t.Error("it came out")
			}
			if st := stat(t, root+"/secret"); st.Nlink != 1 {
				t.Error("the secret was linked")
			}
			if _, err := os.Lstat(filepath.Join(root, "in/null")); err == nil {
				t.Error("a device was made")
			}
		})
	}
}

func hinted(err error) string { return err.Error() + " " + strings.Join(hint.Of(err), " ") }

// TestSwap: somebody exchanges directories and files with symlinks that lead out, while both ends work (CVE-2018-15664).
func TestSwap(t *testing.T) {
	outside := tree(t, map[string]string{"f": "outside", "d/f": "outside", "d/deep/f": "outside"})
	dir := tree(t, map[string]string{"d/f": "inside", "d/deep/f": "inside"})
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			for _, name := range []string{"/d", "/d/deep", "/d/f"} {
				os.Rename(dir+name, dir+"/aside")
				os.Symlink(outside+name, dir+name)
				os.Remove(dir + name)
				os.Rename(dir+"/aside", dir+name)
			}
		}
	}()
	stream := pack(t, tree(t, map[string]string{"f": "new", "deep/f": "new", "deep/g": "new"}), "/", PackOptions{Name: "."})
	for range 300 {
		root := open(t, dir)
		Unpack(bytes.NewReader(stream), root, UnpackOptions{Path: "/d/.", Name: ".", Overwrite: true, Host: true, Warn: func(string) {}})
		p, err := Find(root, "/d/.", true)
		if err != nil {
			continue
		}
		var b bytes.Buffer
		Pack(&b, p, PackOptions{Name: ".", Warn: func(string) {}})
		p.Close()
		if bytes.Contains(b.Bytes(), []byte("outside")) {
			t.Fatal("a file from outside came along")
		}
	}
	close(stop)
	<-stopped
	for _, name := range []string{"f", "d/f", "d/deep/f"} {
		if read(t, filepath.Join(outside, name)) != "outside" {
			t.Errorf("%s was written to", name)
		}
	}
	if _, err := os.Lstat(outside + "/d/deep/g"); err == nil {
		t.Error("a file was made outside")
	}
}

// FuzzUnpack: whatever the stream says, nothing is made or changed beside the destination.
func FuzzUnpack(f *testing.F) {
	for _, entries := range [][]tar.Header{
		{{Typeflag: tar.TypeReg, Name: "a/b", Size: 3}, {Typeflag: tar.TypeLink, Name: "c", Linkname: "a/b"}},
		{{Typeflag: tar.TypeSymlink, Name: "l", Linkname: ".."}, {Typeflag: tar.TypeReg, Name: "l/../secret", Size: 1}},
		{{Typeflag: tar.TypeDir, Name: "./"}, {Typeflag: tar.TypeFifo, Name: "p"}, {Typeflag: tar.TypeDir, Name: "p/"}},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range entries {
			w.WriteHeader(&h)
			w.Write(make([]byte, h.Size))
		}
		w.Close()
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		dir := tree(t, map[string]string{"in/": "", "secret": "s"})
		root := open(t, dir)
		err := Unpack(bytes.NewReader(stream), root, UnpackOptions{Path: "/in", Host: true, Overwrite: true, Warn: func(string) {}})
		entries, listed := os.ReadDir(dir)
		must(t, listed)
		if len(entries) != 2 || read(t, dir+"/secret") != "s" || stat(t, dir+"/secret").Nlink != 1 {
			t.Errorf("it reached out (%v)", err)
		}
	})
}

// TestChanges compares directories that look as overlayfs leaves them, with names for whiteouts, which need no rights.
func TestChanges(t *testing.T) {
	base := tree(t, map[string]string{"etc/a": "", "etc/b": "", "gone/x": "", "old/1": "", "old/2": "", "kept": "", "file": ""})
	middle := tree(t, map[string]string{".wh.gone": "", "etc/c": "", "etc/.wh.b": ""})
	upper := tree(t, map[string]string{"new/sub/f": "", "etc/a": "changed", "etc/b": "again", ".wh.gone": "", ".wh.kept": "", "old/.wh..wh..opq": "", "old/2": "",
		"mnt/point/": "", "run/.env": "", "run/mine": "", "file/now": ""})
	var fds []int
	for _, dir := range []string{upper, middle, base} {
		fd, err := openDir(dir)
		must(t, err)
		defer unix.Close(fd)
		fds = append(fds, fd)
	}
	u := &Upper{Dir: fds[0], Hidden: []string{"/mnt/point", "/mnt", "/run/.env", "/run"}}
	all, err := Changes(u, fds[1:])
	must(t, err)
	var lines []string
	for _, c := range all {
		lines = append(lines, c.Kind+c.Path)
	}
	want := "C/etc C/etc/a A/etc/b C/file A/file/now D/kept A/new A/new/sub A/new/sub/f C/old D/old/1 C/old/2 A/run A/run/mine"
	if got := strings.Join(lines, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var b bytes.Buffer
	u.Hidden = []string{"/mnt/point", "/run/.env"}
	must(t, WriteLayer(&b, u, func(line string) { t.Error(line) }))
	want = ".wh.gone .wh.kept etc/ etc/a etc/b file/ file/now mnt/ new/ new/sub/ new/sub/f old/ old/.wh..wh..opq old/2 run/ run/mine"
	if got := strings.Join(names(t, &b), " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func names(t *testing.T, b *bytes.Buffer) (all []string) {
	r := tar.NewReader(b)
	for {
		h, err := r.Next()
		if err != nil {
			return all
		}
		all = append(all, h.Name)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
