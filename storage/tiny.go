package storage

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/sys"
)

const (
	// tinyLayout is part of the key: raise it when the tree that tinyTree makes changes.
	tinyLayout = "1"
	tinyStage  = "stage-"
	// tinyGrace is how long a replaced tree stays: a start that looked it up just before has long mounted it by then.
	tinyGrace = time.Hour
)

// Tiny is the record of the built-in image: one layer below dataDir, made of binary (rl-tiny) and links to it. It is
// unpacked at the first use of this very binary; after that a call costs two stat(2).
func Tiny(dataDir, binary string) (*Image, error) {
	var st unix.Stat_t
	if err := unix.Stat(binary, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: binary, Err: err}
	}
	key, id := tinyKey(&st)
	base := filepath.Join(dataDir, "tiny")
	if unix.Access(filepath.Join(base, key), unix.F_OK) != nil {
		if err := tinyUnpack(dataDir, binary, key); err != nil {
			return nil, err
		}
	}
	return &Image{ID: id, Names: []string{"tiny"}, Base: base, Layers: []string{key}, Config: tinyConfig()}, nil
}

// tinyKey names a binary by what stat tells of it, and the image by the same: no content is read at a start.
func tinyKey(st *unix.Stat_t) (key, id string) {
	h := fnv.New128a()
	fmt.Fprint(h, tinyLayout, " ", st.Dev, " ", st.Ino, " ", st.Size, " ", st.Mtim.Nano())
	key = fmt.Sprintf("%x", h.Sum(nil))
	h.Write([]byte("id"))
	return key, key + fmt.Sprintf("%x", h.Sum(nil))
}

func tinyConfig() spec.Image {
	return spec.Image{
		Architecture: runtime.GOARCH, OS: "linux",
		Config: spec.ImageConfig{
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
			Cmd: []string{"sh"},
		},
	}
}

// tinyUnpack makes the tree under a name of its own and renames it. The lock makes those who start at the same moment wait
// for one tree, and tells that whatever else is staged was left by the dead.
func tinyUnpack(dataDir, binary, key string) error {
	base := filepath.Join(dataDir, "tiny")
	if err := os.MkdirAll(base, 0o700); err != nil {
		return explainDisk("unpack the image tiny", err)
	}
	lock, err := os.OpenFile(filepath.Join(base, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return explainDisk("unpack the image tiny", err)
	}
	defer lock.Close()
	if err := flock(lock, unix.LOCK_EX); err != nil {
		return err
	}
	if unix.Access(filepath.Join(base, key), unix.F_OK) == nil {
		return nil
	}
	tinyCollect(dataDir)
	stage := filepath.Join(base, tinyStage+sys.BootID()+"-"+strconv.Itoa(os.Getpid()))
	err = tinyTree(stage, binary, key)
	if err == nil {
		err = os.Rename(stage, filepath.Join(base, key))
	}
	if err != nil {
		sys.RemoveAll(stage)
		return explainDisk("unpack the image tiny", err)
	}
	return nil
}

// tinyCollect deletes what the dead staged and the trees of replaced binaries: not the one that was current until now, not
// one that a container names, and none soon after it was replaced. The caller holds the lock.
func tinyCollect(dataDir string) {
	base := filepath.Join(dataDir, "tiny")
	entries, _ := os.ReadDir(base)
	var newest time.Time
	last := ""
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tinyStage) {
			sys.RemoveAll(filepath.Join(base, e.Name()))
			continue
		}
		if info, err := e.Info(); err == nil && e.IsDir() && info.ModTime().After(newest) {
			newest, last = info.ModTime(), e.Name()
		}
	}
	if time.Since(newest) < tinyGrace {
		return
	}
	used := tinyUsed(dataDir)
	for _, e := range entries {
		if e.IsDir() && e.Name() != last && !used(e.Name()) {
			sys.RemoveAll(filepath.Join(base, e.Name()))
		}
	}
}

// tinyUsed tells of a key whether a container, running or stopped, stands on it.
func tinyUsed(dataDir string) func(key string) bool {
	var ids []string
	for _, place := range []string{kept, transient} {
		entries, _ := os.ReadDir(filepath.Join(dataDir, place))
		for _, e := range entries {
			if r, err := ReadRecord(filepath.Join(dataDir, place, e.Name())); err == nil {
				ids = append(ids, r.ImageID)
			}
		}
	}
	return func(key string) bool {
		for _, id := range ids {
			if strings.HasPrefix(id, key) {
				return true
			}
		}
		return false
	}
}

// tinyTree makes a root file system in the new directory dir. All of it is the caller's, who is root inside.
func tinyTree(dir, binary, key string) error {
	for _, d := range []struct {
		name string
		mode os.FileMode
	}{
		{"", 0o755}, {"bin", 0o755}, {"dev", 0o755}, {"etc", 0o755}, {"etc/ssl", 0o755}, {"etc/ssl/certs", 0o755},
		{"home", 0o755}, {"mnt", 0o755}, {"opt", 0o755}, {"proc", 0o555}, {"root", 0o700}, {"run", 0o755}, {"srv", 0o755},
		{"sys", 0o555}, {"tmp", 0o777 | os.ModeSticky}, {"usr", 0o755}, {"usr/local", 0o755}, {"usr/local/bin", 0o755},
		{"var", 0o755}, {"var/log", 0o755}, {"var/tmp", 0o777 | os.ModeSticky},
	} {
		path := filepath.Join(dir, d.name)
		if err := os.Mkdir(path, 0o700); err != nil {
			return err
		}
		if err := os.Chmod(path, d.mode); err != nil { // whatever the umask
			return err
		}
	}
	for name, content := range map[string]string{
		"etc/passwd":     "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
		"etc/group":      "root:x:0:\nnogroup:x:65534:\n",
		"etc/os-release": "NAME=tiny\nID=tiny\nPRETTY_NAME=\"tiny, the built-in image of rl\"\n",
	} {
		if err := writeMode(filepath.Join(dir, name), strings.NewReader(content), 0o644); err != nil {
			return err
		}
	}
	tinyCertificates(filepath.Join(dir, "etc/ssl/certs/ca-certificates.crt"))
	return tinyPrograms(dir, binary, key)
}

// tinyCertificates gives the image the authorities that the host trusts, for https. Without them it is refused inside.
func tinyCertificates(target string) {
	for _, path := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"} {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		defer f.Close()
		if writeMode(target, f, 0o644) != nil {
			os.Remove(target)
		}
		return
	}
}

// tinyPrograms puts the binary and a link for each of its names into bin.
func tinyPrograms(dir, binary, key string) error {
	from, err := os.Open(binary)
	if err != nil {
		return err
	}
	defer from.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(from.Fd()), &st); err != nil {
		return err
	}
	if now, _ := tinyKey(&st); now != key {
		return hint.Errorf("type the command again", "%s was replaced at this moment", binary)
	}
	bin := filepath.Join(dir, "bin")
	if err := writeMode(filepath.Join(bin, "rl-tiny"), from, 0o755); err != nil {
		return err
	}
	names, err := tinyNames(binary)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := os.Symlink("rl-tiny", filepath.Join(bin, name)); err != nil {
			return err
		}
	}
	for link, target := range map[string]string{"sbin": "bin", "usr/bin": "../bin", "usr/sbin": "../bin", "var/run": "../run"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			return err
		}
	}
	return nil
}

// tinyNames asks the binary which names it answers to: the list has one place.
func tinyNames(binary string) ([]string, error) {
	cmd := exec.Command(binary, "--list")
	cmd.Env = []string{}
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s --list: %w", binary, err)
	}
	names := strings.Fields(string(out))
	for _, name := range names {
		if name == "." || name == ".." || strings.ContainsRune(name, '/') {
			return nil, fmt.Errorf("%s --list: bad name %q", binary, name)
		}
	}
	if !bytes.HasSuffix(out, []byte("\n")) || len(names) == 0 {
		return nil, fmt.Errorf("%s --list: cut short", binary)
	}
	return names, nil
}

// writeMode makes the new file path. Where the file system can, it shares the blocks of from (ioctl_ficlonerange(2)). A hard
// link won't do: an installed rl-tiny is root's, and overlayfs answers EOVERFLOW for an owner that has no number inside.
func writeMode(path string, from io.Reader, mode os.FileMode) error {
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := fill(to, from); err != nil {
		to.Close()
		return &fs.PathError{Op: "write", Path: path, Err: err}
	}
	if err := to.Chmod(mode); err != nil {
		to.Close()
		return err
	}
	return to.Close()
}

func fill(to *os.File, from io.Reader) error {
	if f, ok := from.(*os.File); ok && unix.IoctlFileClone(int(to.Fd()), int(f.Fd())) == nil {
		return nil
	}
	_, err := io.Copy(to, from) // copy_file_range(2) where both are files
	if errors.Is(err, io.ErrShortWrite) {
		err = unix.ENOSPC
	}
	return err
}
