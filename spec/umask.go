package spec

import (
	"strconv"

	"github.com/rl-containers/rl/hint"
)

// DefaultUmask is that of a container whose user said nothing, whatever the caller's own.
const DefaultUmask = 0o022

// umask is set for the program and for all that is executed in the container later, as podman does.
func (m *maker) umask() error {
	if m.o.Umask == "" {
		return nil
	}
	n, err := strconv.ParseUint(m.o.Umask, 8, 32)
	if err != nil || len(m.o.Umask) > 4 {
		return hint.Errorf("--umask 0027 keeps new files from others", "--umask %s: not an octal number of up to four digits", m.o.Umask)
	}
	mask := uint32(n)
	m.s.Process.User.Umask = &mask
	return nil
}
