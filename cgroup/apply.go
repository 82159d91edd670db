package cgroup

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// Apply changes the limits of a running container: `update`. What res leaves unset stays as it is.
func (g *Group) Apply(res *specs.LinuxResources) error {
	if g == nil {
		return applyToNone(res)
	}
	l, err := compile(res, g.word)
	if err != nil {
		return err
	}
	return g.set(l.set)
}

func applyToNone(res *specs.LinuxResources) error {
	l, err := compile(res, func(string) string { return "" })
	if err != nil {
		return err
	}
	if need := controllers(slices.DeleteFunc(l.set, setting.isDefault)); len(need) > 0 {
		return fmt.Errorf("limit of %s can't be enforced: the container runs without a cgroup", strings.Join(need, ", "))
	}
	return nil
}

// set writes the settings in their order.
func (g *Group) set(all []setting) error {
	for _, s := range all {
		err, why := g.setOne(s), error(nil)
		if gone(err) && !g.has(s) {
			if why = g.late(s.controller()); why == nil {
				err = g.setOne(s)
			}
		}
		switch {
		case err == nil, gone(err) && (s.may || s.isDefault()):
		case why != nil:
			return missing(s, why)
		case errors.Is(err, unix.ERANGE) && s.controller() == "cpuset":
			return hint.With(fmt.Errorf("limit %s: %w", s.file, err), "cat /sys/fs/cgroup/cpuset.cpus.effective /sys/fs/cgroup/cpuset.mems.effective shows what this machine has")
		case errors.Is(err, unix.EOPNOTSUPP) && s.or != nil:
			device, _, _ := strings.Cut(s.value, " ")
			return hint.With(fmt.Errorf("limit io.weight: %w", err), "echo bfq | sudo tee /sys/dev/block/"+device+"/queue/scheduler gives the device a scheduler that heeds weights")
		default:
			return fmt.Errorf("limit %s: %w", s.file, err)
		}
	}
	return nil
}

func (g *Group) setOne(s setting) error {
	err := g.write(s.file, s.value)
	if gone(err) && s.or != nil {
		return g.setOne(*s.or)
	}
	return err
}

func (g *Group) has(s setting) bool {
	return s.controller() == "" || slices.Contains(strings.Fields(g.word("cgroup.controllers")), s.controller())
}

// late has the parent give a controller that no limit needed when the container was made.
func (g *Group) late(controller string) error {
	parent, err := openParent(g)
	if err != nil {
		return err
	}
	defer parent.Close()
	return parent.enable([]string{controller})
}
