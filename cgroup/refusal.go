package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// reason is why a directory doesn't serve. A greater one is nearer to working, and so the better story.
type reason int

const (
	notOurs reason = iota
	threaded
	lacks
	busy
)

// refusal is why no cgroup was made in a directory. It is an error for the user only when a limit needs one.
type refusal struct {
	why reason
	dir string
	err error
}

func refuse(why reason, dir string, err error) error { return &refusal{why, dir, err} }

func (r *refusal) Error() string {
	switch r.why {
	case threaded:
		return fmt.Sprintf("cgroup %s is in a threaded subtree: %v", r.dir, r.err)
	case lacks:
		return fmt.Sprintf("cgroup %s does not have it (%v)", r.dir, r.err)
	case busy:
		return fmt.Sprintf("cgroup %s holds processes, so that its children get no controllers", r.dir)
	}
	return fmt.Sprintf("cgroup %s is not ours to write: %v", r.dir, r.err)
}

// Unwrap returns the cause.
func (r *refusal) Unwrap() error { return r.err }

// DelegateAll is what root types to have systemd give the controllers that limits need to every user.
const DelegateAll = `sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\nDelegate=cpu cpuset io memory pids\n' | ` +
	`sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload   (then log in again)`

const (
	unifyHint = "boot with systemd.unified_cgroup_hierarchy=1 (kernel command line)"
	scopeHint = "start it in a cgroup of yours: systemd-run --user --scope -p Delegate=yes COMMAND"
)

// explain is the error for limits on the controllers need that nothing holds.
func (t tree) explain(need []string, best *refusal) error {
	// The words of runc, which callers look for.
	what := "cannot set " + strings.Join(need, ", ") + " limit: container could not join or create cgroup"
	if t.mount == "" || t.v1 && len(t.notOffered(need)) > 0 {
		return hint.Errorf(unifyHint, "%s: the machine's cgroup controllers are of version 1, which only root can use", what)
	}
	if missing := t.notOffered(need); len(missing) > 0 {
		return hint.Errorf("see "+t.mount+"/cgroup.controllers, and cgroup_disable= in /proc/cmdline",
			"%s: the kernel or whoever set up this cgroup namespace offers no controller %s", what, strings.Join(missing, ", "))
	}
	err := fmt.Errorf("%s: %w", what, best)
	if best.why == lacks {
		return hint.With(err, DelegateAll)
	}
	return hint.With(err, scopeHint)
}

// notOffered are the controllers that not even the root of what we see of the hierarchy has.
func (t tree) notOffered(need []string) []string {
	text, _ := os.ReadFile(t.mount + "/cgroup.controllers")
	return without(need, strings.Fields(string(text)))
}

// missing is the error for a limit of a cgroup that lacks its controller, and can't get it.
func missing(s setting, why error) error {
	err := fmt.Errorf("limit %s can't be enforced: no controller %s: %w", s.file, s.controller(), why)
	var no *refusal
	switch {
	case errors.As(why, &no) && no.why == lacks:
		return hint.With(err, DelegateAll)
	case errors.As(why, &no) && no.why == busy:
		return hint.With(err, "make the container with a limit of this kind: it then gets a cgroup where it can be changed")
	}
	return err
}
