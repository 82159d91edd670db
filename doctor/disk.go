package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// fsName is the name of a file system by its magic number (statfs(2)), and what is wrong with it as a home of containers.
func fsName(magic int64) (name, trouble string) {
	const remote = "files of your subordinate ids can't be made there, and the server knows no overlay"
	switch uint32(magic) {
	case unix.EXT4_SUPER_MAGIC:
		return "ext4", ""
	case unix.XFS_SUPER_MAGIC:
		return "xfs", ""
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs", ""
	case unix.F2FS_SUPER_MAGIC:
		return "f2fs", ""
	case unix.TMPFS_MAGIC:
		return "tmpfs", ""
	case 0x2fc12fc1:
		return "zfs", ""
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay", "an overlay can't be the upper layer of another one"
	case unix.ECRYPTFS_SUPER_MAGIC:
		return "ecryptfs", "it can't hold an overlay"
	case unix.NFS_SUPER_MAGIC:
		return "nfs", remote
	case unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.SMB_SUPER_MAGIC:
		return "smb", remote
	case unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC:
		return "afs", remote
	case unix.CEPH_SUPER_MAGIC:
		return "ceph", remote
	case 0x0bd00bd0:
		return "lustre", remote
	case 0x47504653:
		return "gpfs", remote
	case 0x19830326:
		return "beegfs", remote
	case unix.V9FS_MAGIC:
		return "9p", remote
	case unix.FUSE_SUPER_MAGIC:
		return "fuse", "most FUSE file systems can't hold an overlay"
	}
	return fmt.Sprintf("file system %#x", uint32(magic)), ""
}

// elsewhere is the advice for a home that can't hold containers.
const elsewhere = "export XDG_DATA_HOME=DIR   (a directory of your own on a local disk), and graphroot = \"DIR/containers/storage\" below [storage] in ~/.config/containers/storage.conf"

// dataDirectory looks at whose it is, and what it is on.
func dataDirectory(h *Host) Result {
	if h.StoreErr != nil {
		return broken(h.StoreErr.Error(), "no container can start", strings.Join(hint.Of(h.StoreErr), "; "))
	}
	if r, bad := h.ownership(); bad {
		return r
	}
	var words, bad []string
	for _, dir := range h.places() {
		var st unix.Statfs_t
		if err := unix.Statfs(h.Root+h.existing(dir), &st); err != nil {
			return broken(fmt.Sprintf("%s: %v", dir, err), "no container can start", elsewhere)
		}
		name, trouble := fsName(int64(st.Type))
		words = append(words, dir+" on "+name)
		if trouble != "" {
			bad = append(bad, name+": "+trouble)
		}
		if st.Flags&unix.ST_RDONLY != 0 {
			return broken(dir+" is on a read-only file system", "no container can start", elsewhere)
		}
	}
	if len(bad) > 0 {
		return degraded(strings.Join(words, ", ")+"; "+strings.Join(bad, "; "), "the next rung of the root file system is tried (see overlay and fuse)", elsewhere)
	}
	return good(strings.Join(words, ", "))
}

// ownership refuses a data directory that another user could change.
func (h *Host) ownership() (Result, bool) {
	dir := h.existing(h.DataDir)
	var st unix.Stat_t
	if err := unix.Stat(h.Root+dir, &st); err != nil {
		return broken(fmt.Sprintf("%s: %v", dir, err), "no container can start", elsewhere), true
	}
	q := shellQuote(dir)
	switch {
	case dir == h.DataDir && int(st.Uid) != h.UID:
		return broken(fmt.Sprintf("%s belongs to uid %d", dir, st.Uid), "rl refuses to use it", fmt.Sprintf("sudo chown -R %d %s", h.UID, q)), true
	case dir == h.DataDir && st.Mode&0o022 != 0:
		return broken(fmt.Sprintf("%s can be written by others (mode %#o)", dir, st.Mode&0o7777), "rl refuses to use it", "chmod 700 "+q), true
	case unix.Access(h.Root+dir, unix.W_OK|unix.X_OK) != nil:
		return broken(dir+" can't be written by you", "no container can start", "ls -ld "+q+"; or "+elsewhere), true
	}
	return Result{}, false
}

// places are the directories that hold layers: rl's own, and the store of images when it is another volume.
func (h *Host) places() []string {
	if h.Store == "" || h.Store == h.DataDir || h.device(h.Store) == h.device(h.DataDir) {
		return []string{h.DataDir}
	}
	return []string{h.DataDir, h.Store}
}

func (h *Host) device(dir string) uint64 {
	var st unix.Stat_t
	if unix.Stat(h.Root+h.existing(dir), &st) != nil {
		return 0
	}
	return st.Dev
}

const (
	littleSpace  = 1 << 30
	noSpace      = 16 << 20
	fewInodes    = 20000
	freeDiskHint = "rl images; rl rmi IMAGE…"
)

func disk(h *Host) Result {
	if h.StoreErr != nil {
		return broken("not tried: no data directory", "", "")
	}
	result := good("")
	for _, dir := range h.places() {
		var st unix.Statfs_t
		if err := unix.Statfs(h.Root+h.existing(dir), &st); err != nil {
			return broken(fmt.Sprintf("%s: %v", dir, err), "", "df "+shellQuote(dir))
		}
		r := room(dir, st.Bavail*uint64(st.Bsize), st.Ffree, st.Files)
		if r.State != OK || result.Detail == "" {
			result = r
		}
	}
	return result
}

func room(dir string, bytes, inodes, total uint64) Result {
	detail := fmt.Sprintf("%s free in %s", size(bytes), dir)
	if total > 0 {
		detail += fmt.Sprintf(", %d inodes", inodes)
	}
	switch {
	case bytes < noSpace || total > 0 && inodes < 100:
		return broken(detail, "no container can write", freeDiskHint)
	case bytes < littleSpace || total > 0 && inodes < fewInodes:
		return degraded(detail, "a pull may fail for want of space", freeDiskHint)
	}
	return good(detail)
}

func size(n uint64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// overlay mounts one on each volume, as rl run would, and works in it.
func overlay(h *Host) Result {
	if h.StoreErr != nil || !h.userns {
		return broken("not tried: no user namespace or no data directory", "", "")
	}
	for _, dir := range h.places() {
		if err := h.tryOverlay(dir); err != nil {
			return h.withoutOverlay(dir, err)
		}
	}
	h.overlayWorks = true
	return good("mounted one with userxattr in " + strings.Join(h.places(), " and "))
}

func (h *Host) withoutOverlay(dir string, err error) Result {
	detail := dir + ": " + err.Error()
	fix := elsewhere
	if errors.Is(err, syscall.EACCES) {
		fix = "ls -ld " + shellQuote(dir)
	}
	if h.fuseWorks() {
		return degraded(detail, "fuse-overlayfs serves the root file system: each file operation is slower", fix)
	}
	return broken(detail, "no image can be run", h.install("fuse-overlayfs")+", or "+fix)
}

// tryOverlay works in dir, or above it where rl has yet to make it: that is the same volume.
func (h *Host) tryOverlay(dir string) error {
	tmp, err := os.MkdirTemp(h.Root+h.existing(dir), ".rl-doctor-")
	if err != nil {
		return err
	}
	defer func() {
		os.Chmod(tmp+"/work/work", 0o700) // overlayfs makes it with mode 0
		os.RemoveAll(tmp)
	}()
	return h.Try(h.simple(), unix.CLONE_NEWNS, "overlay", filepath.Clean(tmp))
}

// fuseWorks is true when the rung below the native overlay can be used.
func (h *Host) fuseWorks() bool {
	return h.program("fuse-overlayfs") != "" && h.mayOpen("/dev/fuse") == nil
}

func (h *Host) mayOpen(path string) error {
	fd, err := unix.Open(h.Root+path, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	return unix.Close(fd)
}

func fuse(h *Host) Result {
	path := h.program("fuse-overlayfs")
	err := h.mayOpen("/dev/fuse")
	var detail, fix string
	switch {
	case path == "":
		detail, fix = "fuse-overlayfs is not installed", h.install("fuse-overlayfs")
	case errors.Is(err, syscall.EACCES):
		detail, fix = err.Error(), "sudo chmod 666 /dev/fuse"
	case err != nil:
		detail, fix = err.Error(), "sudo modprobe fuse"
	default:
		out, _ := h.Output(path, "--version")
		return good(versioned(path, fuseVersion(out)))
	}
	if h.overlayWorks {
		return Result{State: OK, Detail: detail, Action: "not needed, the native overlay works"}
	}
	return degraded(detail, "there is no rung below the native overlay", fix)
}

// fuseVersion finds its line between those of libfuse: "fuse-overlayfs: version 1.10".
func fuseVersion(out string) string {
	for line := range strings.Lines(out) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "fuse-overlayfs: version "); ok {
			return v
		}
	}
	return ""
}

// shellQuote makes a path one word of a shell.
func shellQuote(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune("/._-+@:,=", r) && !alnum(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func alnum(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(line)
}
