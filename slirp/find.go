package slirp

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// findProgram looks for a helper where only root can have put it: fixed directories, then the absolute ones of PATH that
// belong to root and nobody else may write. A helper sees all traffic of a container.
func findProgram(name string) (string, error) {
	for _, dir := range []string{"/usr/bin", "/usr/local/bin", "/bin", "/usr/sbin", "/usr/libexec/podman"} {
		if executable(dir + "/" + name) {
			return dir + "/" + name, nil
		}
	}
	for _, dir := range strings.Split(os.Getenv("PATH"), ":") {
		if path := dir + "/" + name; strings.HasPrefix(dir, "/") && rootOwned(dir) && rootOwned(path) && executable(path) {
			return path, nil
		}
	}
	pkg := name
	if name == "pasta" {
		pkg = "passt"
	}
	return "", hint.Errorf("sudo apt install "+pkg+"  (or dnf, apk, zypper, pacman); or choose --network=none or host",
		"%s is not installed", name)
}

func executable(path string) bool { return unix.Access(path, unix.X_OK) == nil }

func rootOwned(path string) bool {
	st, err := os.Stat(path)
	if err != nil {
		return false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && sys.Uid == 0 && st.Mode().Perm()&0o022 == 0
}

// atLeast tells what an option needs, for the hint of a failed start: asking a helper for its version at every start would
// cost an exec.
func atLeast(program, stderr string) string {
	if strings.Contains(stderr, "nrecognized option") || strings.Contains(stderr, "invalid option") {
		return fmt.Sprintf("%s --version: slirp4netns 1.0 or pasta 2023_02 is the oldest that works", program)
	}
	return ""
}
