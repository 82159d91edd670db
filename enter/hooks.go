package enter

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/sys"
)

// hooks lets the outside run those of the runtime's namespaces, then runs those of the container's.
func (b *builder) hooks() error {
	if b.plan.HooksOutside {
		if err := sys.Send(Sock, 'h'); err != nil {
			return err
		}
		if err := waitGo(); err != nil {
			return err
		}
	}
	return sys.RunHooks("createContainer", b.plan.Hooks, b.plan.State)
}

// openRunning takes the root of the container that was entered.
func (b *builder) openRunning() (err error) {
	// setns(2) put the working directory at the root of the container's mount namespace.
	b.root, err = sys.OpenRoot("/")
	return err
}

// label writes what the security modules are to make of the next execve (apparmor(7), selinux: attr/exec in proc(5)).
func (b *builder) label() error {
	p := &b.plan.Process
	if p.Label != "" {
		if err := attribute("attr/exec", p.Label); err != nil {
			return fmt.Errorf("set SELinux label %s: %w", p.Label, err)
		}
	}
	if p.Apparmor == "" {
		return nil
	}
	err := attribute("attr/apparmor/exec", "exec "+p.Apparmor)
	if errors.Is(err, unix.ENOENT) {
		err = attribute("attr/exec", "exec "+p.Apparmor)
	}
	if err != nil {
		return fmt.Errorf("set AppArmor profile %s: %w", p.Apparmor, err)
	}
	return nil
}

// attribute writes a file of this thread in proc, which must be a proc file system: a container may have put something else
// there (CVE-2019-16884, CVE-2025-52881).
func attribute(name, value string) error {
	fd, err := unix.Open("/proc/thread-self/"+name, unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := isProc(fd); err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte(value))
	return err
}

func isProc(fd int) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return err
	}
	if st.Type != unix.PROC_SUPER_MAGIC {
		return errors.New("/proc is not a proc file system")
	}
	return nil
}

// pass tells the outside that all is ready, and makes whoever connects to the gate the new outside.
func pass(gate int) error {
	if err := sys.Send(Sock, 'r'); err != nil {
		return err
	}
	// Until the outside has written down that this process is there, nobody else could end it: it dies with the outside.
	if err := waitGo(); err != nil {
		return err
	}
	for {
		fd, _, err := unix.Accept4(gate, unix.SOCK_CLOEXEC)
		if err == unix.EINTR || err == unix.ECONNABORTED {
			continue
		}
		if err != nil {
			return err
		}
		if err := unix.Dup3(fd, Sock, unix.O_CLOEXEC); err != nil {
			return err
		}
		unix.Close(fd)
		if err := waitGo(); !errors.Is(err, errGone) {
			unix.Close(gate)
			return err
		}
		// Whoever it was has died before the word to go.
	}
}
