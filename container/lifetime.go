package container

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/session"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
	"github.com/rl-containers/rl/systemd"
)

// What --lifetime takes. Without it a container stays as with untilUser, where it can.
const (
	untilSession = "session" // it is stopped when the login session ends
	untilUser    = "user"    // it outlives that
)

func checkLifetime(word string) error {
	switch word {
	case "", untilSession, untilUser:
		return nil
	}
	return hint.Errorf("session or user", "--lifetime %s: not a lifetime", word)
}

// lifetime is what becomes of a container at logout.
type lifetime struct {
	// leader is the process whose end is the container's, as session.Word has it; "" for none. scopeWord stands for a scope of systemd's.
	leader string
	// note says that the system will end it, and what to type.
	note string
}

// lifetimeOf finds out what that is here. What was asked for and can't be is an error.
func lifetimeOf(word string, req *Request) (l lifetime, err error) {
	if err := checkLifetime(word); err != nil {
		return l, err
	}
	host := session.Here()
	if word == untilSession {
		pid, err := host.Leader()
		if err == nil {
			l.leader, err = session.Word(pid)
		}
		return l, err
	}
	place, manager := host.Place(), session.Place{Kind: session.Manager}
	if place.Kind == session.Session && req.wantsGroup() && req.Cgroups != cgroupsSplit && systemd.There() {
		place = manager // its scope is no part of the session
	}
	why, fix := host.Doom(place)
	switch {
	case why == "":
	case word == untilUser && place.Kind == session.Session && safe(host, manager) && systemd.There():
		l.leader = scopeWord
	case word == untilUser:
		err = hint.Errorf(fix, "--lifetime=user: %s", why)
	default:
		l.note = "note: this container ends when you log out: " + why + ". To keep it: " + fix
	}
	return l, err
}

// scopeWord is in the place of a leader where the container is to be in a scope of the user's systemd, which no logout ends.
const scopeWord = "scope"

func safe(host *session.Host, p session.Place) bool {
	why, _ := host.Doom(p)
	return why == ""
}

// start starts a container that is alone from then on.
func (l lifetime) start(dir *storage.Container) error {
	if err := handOver(dir, l.leader, nil, "", false); err != nil || l.note == "" {
		return err
	}
	store, err := storage.Open()
	if err == nil {
		l.tell(store)
	}
	return nil
}

// tell prints the note, once a boot: who leaves it so has been told.
func (l lifetime) tell(store *storage.Store) {
	if l.note == "" || !hint.Tells(hint.LevelWarn) {
		return
	}
	path, boot := filepath.Join(store.DataDir, "told-of-logout"), sys.BootID()
	if b, err := os.ReadFile(path); err == nil && string(b) == boot {
		return
	}
	fmt.Fprintln(os.Stderr, "rl: "+hint.Clean(l.note))
	os.WriteFile(path, []byte(boot), 0o600)
}
