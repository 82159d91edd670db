package container

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/stdio"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
)

// attachSocket is where a monitor listens for those that attach. A connection begins with a word and a newline (attachWord).
const attachSocket = "attach"

func attachWord(w stdio.Wants) string {
	var words []string
	for name, on := range map[string]bool{"stdin": w.Stdin, "stdout": w.Stdout, "stderr": w.Stderr} {
		if on {
			words = append(words, name)
		}
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, ",")
}

func parseAttachWord(s string) (w stdio.Wants) {
	for word := range strings.SplitSeq(s, ",") {
		switch word {
		case "stdin":
			w.Stdin = true
		case "stdout":
			w.Stdout = true
		case "stderr":
			w.Stderr = true
		}
	}
	return w
}

// checkAttach refuses what is no stream.
func (r *Request) checkAttach() error {
	if _, err := r.streams(); err != nil {
		return hint.Errorf("stdin, stdout or stderr", "--attach %w", err)
	}
	return nil
}

// wants are the streams that the caller of a foreground sees. What is typed goes in with -i whatever is attached, as with podman.
func (r *Request) wants() stdio.Wants {
	w, _ := r.streams()
	return w
}

func (r *Request) streams() (w stdio.Wants, err error) {
	w.Stdin, w.Stdout, w.Stderr = r.Options.Interactive, len(r.Attach) == 0, len(r.Attach) == 0
	for _, word := range strings.Split(strings.ToLower(strings.Join(r.Attach, ",")), ",") {
		switch {
		case word == "stdout":
			w.Stdout = true
		case word == "stderr":
			w.Stderr = true
		case word != "stdin" && len(r.Attach) > 0:
			return w, fmt.Errorf("%q: not a stream", word)
		}
	}
	return w, nil
}

// tellAlone tells of a container that nobody sees.
func (r *run) tellAlone() {
	if w := r.wants(); r.Alone != nil && !w.Stdout && !w.Stderr {
		r.Alone(r.id)
	}
}

// serveAll serves whoever connects.
func (w *watcher) serveAll() {
	socket, err := stdio.Pollable(w.Socket)
	if err != nil {
		return
	}
	w.Socket = socket
	conn, err := socket.SyscallConn()
	if err != nil {
		return
	}
	go func() {
		for {
			fd := -1
			err := conn.Read(func(s uintptr) bool {
				fd, _, err = unix.Accept4(int(s), unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
				return err != unix.EAGAIN
			})
			if err != nil {
				return // closed
			}
			if fd >= 0 {
				go w.serve(os.NewFile(uintptr(fd), "client"))
			}
		}
	}()
}

// serve reads the first word of a connection.
func (w *watcher) serve(c *os.File) {
	c.SetReadDeadline(time.Now().Add(time.Second))
	var word []byte
	for b := make([]byte, 1); len(word) < 64; word = append(word, b[0]) {
		if _, err := c.Read(b); err != nil {
			c.Close()
			return
		}
		if b[0] == '\n' {
			break
		}
	}
	c.SetReadDeadline(time.Time{})
	w.hub.Join(c, parseAttachWord(string(word)))
	w.carry(c)
}

// carry serves a client until it goes. All that went over was garbage.
func (w *watcher) carry(c *os.File) {
	w.hub.Serve(c)
	w.slim.did(muchGarbage + 1)
}

// AttachRequest is `rl attach` or `rl start --attach`.
type AttachRequest struct {
	NoStdin    bool
	SigProxy   bool
	DetachKeys string
}

// Attach ties the caller's terminal to a running container until it ends or the caller detaches.
func Attach(word string, req AttachRequest) error {
	keys, err := stdio.ParseDetachKeys(req.DetachKeys)
	if err != nil {
		return err
	}
	s, c, err := findConfig(word)
	if err != nil {
		return err
	}
	if err := mustRun(s, "attach to"); err != nil {
		return err
	}
	conn, err := sys.Dial(filepath.Join(s.Dir, attachSocket))
	if err != nil {
		return explainAttach(s, err)
	}
	wants := stdio.Wants{Stdin: !req.NoStdin && c.Request.Options.Interactive, Stdout: true, Stderr: true}
	if _, err := conn.WriteString(attachWord(wants) + "\n"); err != nil {
		return explainAttach(s, err)
	}
	client := stdio.NewClient(conn, wants, c.Request.Options.TTY, keys)
	happened(s, "attach")
	return follow(client, s.ID, req.SigProxy)
}

func explainAttach(s *storage.State, err error) error {
	if s.Detached {
		return hint.Errorf("rl logs shows what it wrote, rl exec enters it, rl restart gives it a monitor again",
			"attach to container %s: nobody serves its terminal, its monitor was killed (%w)", s.Name, err)
	}
	return hint.Errorf("rl exec -it "+s.Name+" sh enters it", "attach to container %s: it is tied to the terminal on which rl run was typed", s.Name)
}

// follow is the client's life. Its end is the program's exit code.
func follow(client *stdio.Client, id string, proxy bool) error {
	if err := client.Start(); err != nil {
		return err
	}
	if proxy {
		go proxySignals(id)
	}
	code, err := client.Run()
	switch {
	case errors.Is(err, stdio.ErrDetached):
		return nil
	case errors.Is(err, stdio.ErrLost):
		// Who came when it was about to end wasn't told.
		if store, oops := storage.Open(); oops == nil {
			if s, there := store.Look(id); there && s.Status == storage.Exited && s.Error == "" {
				return &hint.Exit{Code: s.ExitCode}
			}
		}
		return fmt.Errorf("container %.12s: %w", id, err)
	case err != nil:
		return fmt.Errorf("container %.12s: %w", id, err)
	}
	return &hint.Exit{Code: code}
}

// proxySignals passes what the caller is sent to the container.
func proxySignals(id string) {
	for s := range notify(proxied()) {
		if s == syscall.SIGWINCH {
			continue // the client's
		}
		store, err := storage.Open()
		if err != nil {
			continue
		}
		if state, ok := store.Look(id); ok {
			signalState(&state, s.(syscall.Signal))
		}
	}
}
