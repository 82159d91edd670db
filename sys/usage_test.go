package sys

import (
	"os"
	"path/filepath"
	"testing"
)

func TestDiskUsage(t *testing.T) {
	dir := t.TempDir()
	if n, ok := DiskUsage(filepath.Join(dir, "nothing")); n != 0 || !ok {
		t.Errorf("what isn't there: %d, %v", n, ok)
	}
	before, _ := DiskUsage(dir)
	if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	// Neither a second name nor a hole nor what a symlink names counts.
	if err := os.Link(filepath.Join(dir, "f"), filepath.Join(dir, "g")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", filepath.Join(dir, "root")); err != nil {
		t.Fatal(err)
	}
	hole, err := os.Create(filepath.Join(dir, "hole"))
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	if err := hole.Truncate(1 << 30); err != nil {
		t.Fatal(err)
	}
	after, ok := DiskUsage(dir)
	if grown := after - before; !ok || grown < 1<<20 || grown > 1<<20+1<<16 {
		t.Errorf("grown by %d, complete %v", grown, ok)
	}
	if n, ok := FileSizes(dir); !ok || n != 1<<20+1<<30+int64(len("/")) {
		t.Errorf("lengths %d, complete %v", n, ok)
	}
	if os.Getuid() == 0 {
		return
	}
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(closed, 0o700)
	if _, ok := DiskUsage(dir); ok {
		t.Error("a closed directory was passed over in silence")
	}
}
