package doctor

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Child is the other side of a trial: it runs as root of new namespaces, does what args ("KIND" or "KIND,DIRECTORY") say,
// and returns the exit code. What fails is printed as "ERRNO TEXT".
func Child(args string) int {
	kind, dir, _ := strings.Cut(args, ",")
	var err error
	switch kind {
	case "nothing":
	case "overlay":
		err = overlayTrial(dir)
	case "tun":
		err = tunTrial()
	default:
		err = fmt.Errorf("unknown trial %q", kind)
	}
	if err == nil {
		return 0
	}
	var errno syscall.Errno
	errors.As(err, &errno)
	fmt.Println(int(errno), err)
	return 1
}

// overlayTrial mounts an overlay in dir and does what containers do in one: delete, replace a directory, rename.
func overlayTrial(dir string) error {
	// Relative names: dir may have any character, and the kernel's option string knows no quotes for ":".
	if err := os.Chdir(dir); err != nil {
		return err
	}
	for _, d := range []string{"lower", "lower/dir", "upper", "work", "merged"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile("lower/file", []byte("lower"), 0o644); err != nil {
		return err
	}
	if err := unix.Mount("overlay", "merged", "overlay", 0, "lowerdir=lower,upperdir=upper,workdir=work,userxattr"); err != nil {
		return fmt.Errorf("mount overlay with userxattr: %w", err)
	}
	defer unix.Unmount("merged", unix.MNT_DETACH)
	return useOverlay()
}

func useOverlay() error {
	steps := []struct {
		what string
		do   func() error
	}{
		{"change a file of a lower layer", func() error { return os.WriteFile("merged/file", []byte("upper"), 0o600) }},
		{"delete a file of a lower layer", func() error { return os.Remove("merged/file") }},
		{"delete a directory of a lower layer", func() error { return os.Remove("merged/dir") }},
		{"replace a directory of a lower layer", func() error { return os.Mkdir("merged/dir", 0o700) }},
		{"find the replaced directory marked", func() error {
			_, err := unix.Lgetxattr("upper/dir", "user.overlay.opaque", make([]byte, 8))
			return err
		}},
		{"rename a file", func() error {
			return errors.Join(os.WriteFile("merged/a", nil, 0o600), os.Rename("merged/a", "merged/dir/b"))
		}},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("in an overlay, %s: %w", s.what, err)
		}
	}
	return nil
}

// tunTrial makes the interface that a network helper would make.
func tunTrial() error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/dev/net/tun", Err: err}
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("rl0")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return fmt.Errorf("make a network interface with /dev/net/tun: %w", err)
	}
	return nil
}
