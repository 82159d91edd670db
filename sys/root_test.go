package sys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// hostileRoot is a root file system whose links lead out of it, beside a file that must never be touched.
func hostileRoot(t *testing.T) (root *Root, dir, outside string) {
	t.Helper()
	top := t.TempDir()
	dir, outside = filepath.Join(top, "root"), filepath.Join(top, "outside")
	for _, d := range []string{dir + "/etc", dir + "/real", outside} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"up": "../../../../../outside", "abs": "/outside", "etc/resolv.conf": "../run/systemd/resolv.conf",
		"loop": "loop2", "loop2": "loop", "good": "real", "dots": "real/../../real",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	root, err := OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root, dir, outside
}

func name(t *testing.T, fd int) string {
	t.Helper()
	p, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTargetStaysInside(t *testing.T) {
	root, dir, outside := hostileRoot(t)
	for _, c := range []struct {
		path string
		file bool
		want string // below the root
	}{
		{"/real", false, "/real"},
		{"good", false, "/real"},
		{"dots", false, "/real"},
		{"/up/x", false, "/outside/x"},
		{"/abs/file", true, "/outside/file"},
		{"/etc/resolv.conf", true, "/run/systemd/resolv.conf"},
		{"/../../../new/dir", false, "/new/dir"},
		{"/", false, ""},
		{"/a/b/../c", false, "/a/c"},
	} {
		fd, err := root.Target(c.path, c.file)
		if err != nil {
			t.Errorf("Target(%q): %v", c.path, err)
			continue
		}
		if got := name(t, fd); got != dir+c.want {
			t.Errorf("Target(%q) = %q, want %q", c.path, got, dir+c.want)
		}
		unix.Close(fd)
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("made %v outside of the root", left)
	}
}

func TestTargetErrors(t *testing.T) {
	root, dir, _ := hostileRoot(t)
	if err := os.WriteFile(dir+"/file", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{"/loop/x": unix.ELOOP, "/file/x": unix.ENOTDIR} {
		if fd, err := root.Target(path, false); !errors.Is(err, want) {
			t.Errorf("Target(%q) = %d, %v; want %v", path, fd, err, want)
		}
	}
}

func TestReadFile(t *testing.T) {
	root, dir, outside := hostileRoot(t)
	write := func(path, content string) {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(outside+"/secret", "secret")
	write(dir+"/real/passwd", "root")
	write(dir+"/large", "0123456789")
	if err := unix.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := root.ReadFile("/good/passwd", 100); string(b) != "root" || err != nil {
		t.Errorf("through a link inside: %q, %v", b, err)
	}
	if _, err := root.ReadFile("/up/secret", 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("outside: %v", err)
	}
	for _, path := range []string{"/fifo", "/etc", "/large"} {
		if _, err := root.ReadFile(path, 9); err == nil {
			t.Errorf("%s was read", path)
		}
	}
}

func TestRemoveAll(t *testing.T) {
	top := t.TempDir()
	outside := filepath.Join(top, "outside")
	dir := filepath.Join(top, "dir")
	for _, d := range []string{outside, dir + "/work/work/incompat", dir + "/upper/ro"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(outside+"/keep", nil, 0o644)
	os.WriteFile(dir+"/upper/ro/file", nil, 0o644)
	os.Symlink(outside, dir+"/upper/link")
	for _, d := range []string{dir + "/work/work/incompat", dir + "/work/work", dir + "/upper/ro"} {
		if err := os.Chmod(d, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
	if _, err := os.Stat(outside + "/keep"); err != nil {
		t.Errorf("a link was followed: %v", err)
	}
	if err := RemoveAll(dir); err != nil {
		t.Errorf("nothing to remove: %v", err)
	}
}

func TestSendRecv(t *testing.T) {
	a, b, err := SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := Send(int(a.Fd()), 'x', int(w.Fd())); err != nil {
		t.Fatal(err)
	}
	w.Close()
	letter, fds, err := Recv(int(b.Fd()))
	if letter != 'x' || len(fds) != 1 || err != nil {
		t.Fatalf("%q %v %v", letter, fds, err)
	}
	os.NewFile(uintptr(fds[0]), "").WriteString("through")
	buf := make([]byte, 10)
	if n, _ := r.Read(buf); string(buf[:n]) != "through" {
		t.Errorf("read %q", buf[:n])
	}
	a.Close()
	if _, _, err := Recv(int(b.Fd())); err == nil || err.Error() != "EOF" {
		t.Errorf("after the end: %v", err)
	}
}
