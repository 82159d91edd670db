package container

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/userns"
)

// checkPreserve refuses descriptors for a container with a monitor: it is another process than the one that has them.
func (r *Request) checkPreserve() error {
	if r.PreserveFds > 0 && r.Detached {
		return hint.Errorf("without -d, --restart and --detach-keys; or -v FILE:/file", "--preserve-fds %d: descriptors are passed in the foreground only", r.PreserveFds)
	}
	return nil
}

// preserve hands on descriptors of the caller's, from 3 on. They are copies: those of a start are closed after it, and there may be another.
func (r *run) preserve(c *userns.Config) error {
	r.plan.Process.Preserve = nil
	for fd := range r.PreserveFds {
		copied, err := unix.FcntlInt(uintptr(3+fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fmt.Errorf("--preserve-fds %d: descriptor %d: %w", r.PreserveFds, 3+fd, err)
		}
		r.plan.Process.Preserve = append(r.plan.Process.Preserve, enter.FirstExtra+len(c.Extra))
		c.Extra = append(c.Extra, os.NewFile(uintptr(copied), "preserved"))
	}
	return nil
}
