package enter

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// Sock is the descriptor of the socket to the outside.
const Sock = 3

// FirstExtra is the first descriptor behind it.
const FirstExtra = 4

// Main is the role rl-enter. It returns only when the start failed, after it told the outside why.
func Main() int {
	// Capabilities, seccomp filters and the parent-death signal belong to a thread: all is done, and executed, on this one.
	runtime.LockOSThread()
	if err := enter(); err != nil {
		fail(err)
	}
	return 125
}

// enter is the inside of a start from top to bottom. It ends in execve.
func enter() error {
	// The socket too: its end is the outside's news that the program runs. What rl's caller leaked ends here at the latest.
	if err := sys.SealFds(Sock); err != nil {
		return err
	}
	if len(os.Args) > 1 {
		if err := makeTap(os.Args[1]); err != nil {
			return err
		}
	}
	p, err := readPlan()
	if err != nil {
		return err
	}
	if err := checkRights(); err != nil {
		return err
	}
	switch {
	case len(p.Tool) > 0:
		return runTool(p)
	case len(p.Remove) > 0:
		return remove(p)
	case len(p.Measure) > 0:
		return measure(p)
	case p.Archive != nil:
		return archiveFiles(p)
	}
	b := &builder{plan: p}
	steps := []func() error{
		b.openSources, // as the caller, who owns what is mounted
		b.mountRoot,
		p.becomeRoot, // from here on, files are made as the container's root
		b.mountAll,
		b.hooks,
		b.addAccounts,
		b.configure,
		b.openTerminal,
		b.hide,
		b.makeWorkdir,
		b.label, // while /proc is the host's
		b.pivot,
	}
	if p.Enter {
		steps = []func() error{p.becomeRoot, b.openRunning, b.openTerminal, b.label}
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return run(p)
}

// checkRights finds the one restriction that lets the namespace be made and takes its capabilities away.
func checkRights() error {
	caps, err := sys.Effective()
	if err != nil {
		return err
	}
	if caps&(1<<unix.CAP_SYS_ADMIN) != 0 {
		return nil
	}
	return hint.Errorf("as root: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or give rl a profile: rl doctor prints one",
		"the new user namespace has no capabilities: AppArmor or another security module restricts user namespaces")
}

// maxPlan bounds what is read from the socket; the outside is trusted, a broken length is not.
const maxPlan = 64 << 20

func readPlan() (*Plan, error) {
	var head [4]byte
	if _, err := io.ReadFull(sock{}, head[:]); err != nil {
		return nil, gone(err)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxPlan {
		return nil, fmt.Errorf("read plan: %d bytes", n)
	}
	buf := make([]byte, n)
	if _, err := io.ReadFull(sock{}, buf); err != nil {
		return nil, gone(err)
	}
	return decodePlan(buf)
}

// WritePlan sends p as Main reads it.
func WritePlan(w io.Writer, p *Plan) error {
	b := appendWire(make([]byte, 4, 16<<10), reflect.ValueOf(build))
	b = appendWire(b, reflect.ValueOf(p).Elem())
	binary.LittleEndian.PutUint32(b, uint32(len(b)-4))
	_, err := w.Write(b)
	return err
}

// sock reads from the socket without the runtime's poller.
type sock struct{}

func (sock) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(Sock, b)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// waitGo blocks until the outside says that the network is up.
func waitGo() error {
	var b [1]byte
	if _, err := io.ReadFull(sock{}, b[:]); err != nil {
		return gone(err)
	}
	return nil
}

// errGone: the outside died; nobody is left to tell.
var errGone = errors.New("rl is gone")

func gone(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, unix.ECONNRESET) {
		return errGone
	}
	return err
}

// fail sends err up the socket; the caller's main prints it.
func fail(err error) {
	if err == errGone {
		return
	}
	f := Failure{Message: err.Error(), Hints: hint.Of(err), Code: 125}
	var exit *hint.Exit
	if errors.As(err, &exit) {
		f.Code = exit.Code
	}
	f.Refused = errors.Is(err, errRefused)
	b, _ := json.Marshal(f)
	if sys.Send(Sock, 'e') == nil {
		file := os.NewFile(Sock, "parent")
		file.Write(b)
		file.Close()
	}
}
