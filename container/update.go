package container

import (
	"cmp"
	"fmt"

	"github.com/rl-containers/rl/cgroup"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/storage"
)

// UpdateRequest is `rl update` as typed: what is "" stays as it is.
type UpdateRequest struct {
	Limits  spec.LimitOptions
	Restart string
}

// Update changes the limits of a container, of one that runs at once, and its restart policy.
func Update(s *storage.State, req UpdateRequest) error {
	req.Limits = req.Limits.Lifting()
	if err := checkUpdate(s, &req); err != nil {
		return fmt.Errorf("update container %s: %w", s.Name, err)
	}
	store, err := storage.Open()
	if err != nil {
		return err
	}
	err = store.Change(s, func(r *storage.Record) error {
		r.Restart = cmp.Or(req.Restart, r.Restart)
		return updateLimits(s, req.Limits)
	})
	if err != nil {
		return gone(s, "update", fmt.Errorf("update container %s: %w", s.Name, err))
	}
	happened(s, "update")
	return nil
}

func checkUpdate(s *storage.State, req *UpdateRequest) error {
	res, alone := req.Limits.Resources()
	if alone != nil && req.Limits.Memory+req.Limits.MemorySwap == "" { // of these two, one may be known already
		return alone
	}
	kind, _, err := restartPolicy(req.Restart)
	switch {
	case err != nil:
		return err
	case res == nil && alone == nil && req.Restart == "" && req.Limits.MemorySwap == "":
		return hint.Errorf("rl update --memory 512m "+s.Name, "nothing is to change")
	case s.Remove && kind != "" && kind != "no":
		return fmt.Errorf("--rm and --restart=%s exclude each other", req.Restart)
	}
	return nil
}

// updateLimits sets them in the kernel first: what isn't possible is not written down.
func updateLimits(s *storage.State, typed spec.LimitOptions) error {
	c, err := ReadConfig(s.Dir)
	if err != nil {
		return err
	}
	c.Request.Options.Limits = c.Request.Options.Limits.With(typed)
	all, err := c.Request.Options.Limits.Resources()
	if err != nil {
		return err
	}
	if s.Running {
		changed := c.Request.Options.Limits.Only(typed)
		res, err := changed.Resources()
		if err != nil {
			return err
		}
		g := cgroup.Reopen(s.Cgroup)
		defer g.Close()
		if err := g.Apply(res); err != nil && s.Cgroup == "" {
			return hint.With(err, "rl stop "+s.Name+", and the same again: its next start gives it one")
		} else if err != nil {
			return err
		}
	}
	c.Spec.Spec.Linux.Resources = all
	return s.Write(configFile, c)
}
