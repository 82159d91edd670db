package sys

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// WritePidFile writes the number, whole or not at all, without a newline: engines and service managers read all of it. No "" is written.
// The directory may be one that others write to.
func WritePidFile(path string, pid int) error {
	if path == "" {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	_, err = f.WriteString(strconv.Itoa(pid))
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write pid file: %w", err)
	}
	return nil
}
