package sys

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// Hook is a program that is run at a point in a container's life (runtime-spec config.md, "POSIX-platform Hooks").
type Hook struct {
	Path    string
	Args    []string      // with argv[0]; none stands for Path
	Env     []string      // nil is the caller's
	Timeout time.Duration // 0 is none
}

// Run executes the hook with the container's state on its stdin and waits for it. What it writes is told when it fails.
func (h *Hook) Run(state []byte) error {
	ctx, cancel := context.Background(), func() {}
	if h.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, h.Timeout)
	}
	defer cancel()
	cmd := exec.CommandContext(ctx, h.Path)
	if len(h.Args) > 0 {
		cmd.Args = h.Args
	}
	var said bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = h.Env, bytes.NewReader(state), &said, &said
	// Somebody whom the hook left behind may keep its output open.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("not done after %s: %w", h.Timeout, os.ErrDeadlineExceeded)
	}
	return fmt.Errorf("hook %s: %w%s", h.Path, err, tailOf(said.String()))
}

// RunHooks runs those of one point, in order, until one fails.
func RunHooks(point string, hooks []Hook, state []byte) error {
	for i := range hooks {
		if err := hooks[i].Run(state); err != nil {
			return fmt.Errorf("error running %s hook #%d: %w", point, i, err)
		}
	}
	return nil
}

func tailOf(said string) string {
	if said = strings.TrimSpace(said); said == "" {
		return ""
	}
	return ": " + said[max(0, len(said)-512):]
}
