package enter

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/sys"
)

// runTool becomes a helper of the host, as root of the user namespace.
func runTool(p *Plan) error {
	if err := p.becomeRoot(); err != nil {
		return err
	}
	if err := stayTied(); err != nil {
		return err
	}
	// The socket moves out of the way, close-on-exec: its end is the news that the tool runs.
	moved, err := unix.FcntlInt(Sock, unix.F_DUPFD_CLOEXEC, 10)
	if err != nil {
		return err
	}
	if err := unix.Dup3(4, Sock, 0); err != nil && !errors.Is(err, unix.EBADF) {
		return err
	}
	err = unix.Exec(p.Tool[0], p.Tool, p.Process.Env)
	unix.Dup3(moved, Sock, unix.O_CLOEXEC)
	return fmt.Errorf("execute %s: %w", p.Tool[0], err)
}

// remove deletes directories of containers, whose files may belong to any mapped id.
func remove(p *Plan) error {
	if err := p.becomeRoot(); err != nil {
		return err
	}
	for _, dir := range p.Remove {
		if err := sys.RemoveAll(dir); err != nil {
			return err
		}
	}
	os.Exit(0) // nothing is left to execute; the end of the socket says that it went well
	return nil
}

// measure prints how much disk each directory takes, a number a line.
func measure(p *Plan) error {
	if err := p.becomeRoot(); err != nil {
		return err
	}
	size := sys.DiskUsage
	if p.Lengths {
		size = sys.FileSizes
	}
	for _, dir := range p.Measure {
		bytes, _ := size(dir)
		if _, err := fmt.Println(bytes); err != nil {
			return err
		}
	}
	os.Exit(0)
	return nil
}
