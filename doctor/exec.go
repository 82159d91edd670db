package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/sys"
	"github.com/rl-containers/rl/userns"
)

// patience is how long one program may take before its rung counts as broken.
const patience = 30 * time.Second

// output runs a program and returns all that it printed.
func output(argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	// A grandchild that keeps the pipe open must not keep the doctor.
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("no answer within %v", patience)
	case err != nil && len(out) > 0:
		return "", fmt.Errorf("%s (%w)", strings.TrimSpace(string(out)), err)
	}
	return string(out), err
}

// Command is the verb under which rl's main calls Child.
const Command = "doctor"

// try runs `rl doctor --try=ARGS` as root of new namespaces.
func (h *Host) try(m idmap.Map, namespaces uintptr, args ...string) error {
	// The child dies with the thread that made it (prctl(2), PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	defer w.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	plan := &enter.Plan{Tool: append([]string{h.Exe, Command, "--try"}, strings.Join(args, ","))}
	p, err := userns.Spawn(userns.Config{Namespaces: namespaces | unix.CLONE_NEWNS, Map: m, Stdio: [3]*os.File{null, w, w}},
		func(w io.Writer) error { return enter.WritePlan(w, plan) })
	w.Close()
	if err != nil {
		return err
	}
	return await(p, r)
}

// await reads what the child says. Silence is success; "NUMBER TEXT" is an errno and its story.
func await(p *userns.Process, r io.Reader) error {
	late := time.AfterFunc(patience, func() { p.Kill() })
	text, _ := io.ReadAll(io.LimitReader(r, 1<<16))
	status, err := p.Wait()
	if !late.Stop() {
		return fmt.Errorf("no answer within %v", patience)
	}
	if err != nil {
		return err
	}
	if status == 0 {
		return nil
	}
	var number int
	if n, _ := fmt.Sscanf(string(text), "%d", &number); n == 1 {
		_, story, _ := strings.Cut(firstLine(string(text)), " ")
		return &trialError{syscall.Errno(number), story}
	}
	return errors.New(join(sys.Describe(status), firstLine(string(text))))
}

// trialError is what a trial said, with the errno for errors.Is.
type trialError struct {
	errno syscall.Errno
	story string
}

func (e *trialError) Error() string { return e.story }
func (e *trialError) Unwrap() error { return e.errno }
