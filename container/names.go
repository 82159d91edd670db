package container

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// newID is 32 random bytes in hex, docker's form.
func newID() (string, error) {
	var b [32]byte
	if _, err := unix.Getrandom(b[:], 0); err != nil {
		return "", os.NewSyscallError("getrandom", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// checkName accepts docker's names: [a-zA-Z0-9][a-zA-Z0-9_.-]*. They become file names.
func checkName(name string) error {
	for i, r := range name {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !ok && (i == 0 || !strings.ContainsRune("_.-", r)) {
			return hint.Errorf("letters, digits, _ . - and a letter or digit first", "--name %q: %q is not allowed there", name, r)
		}
	}
	if len(name) > 255 {
		return fmt.Errorf("--name: %d characters, at most 255 are allowed", len(name))
	}
	return nil
}

// checkPidFiles makes their paths absolute: who writes them may be elsewhere.
func (r *Request) checkPidFiles() (err error) {
	for flag, path := range map[string]*string{"pidfile": &r.PidFile, "conmon-pidfile": &r.MonitorPidFile} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err == nil {
			_, err = os.Stat(filepath.Dir(*path))
		}
		if err != nil {
			return fmt.Errorf("--%s: %w", flag, err)
		}
	}
	return nil
}

// writeCIDFile writes the container's id to a file that must not exist, as docker does.
func writeCIDFile(path, id string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return hint.Errorf("another container may be using it: rm it, or name another file", "container id file %s exists already", path)
	}
	if err != nil {
		return fmt.Errorf("write container id file: %w", err)
	}
	if _, err := f.WriteString(id); err != nil {
		return fmt.Errorf("write container id file: %w", err)
	}
	return f.Close()
}
