package container

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/cgroup"
)

// placeSome is place for --limits=best-effort, after it failed: with those limits that hold.
func (r *run) placeSome(res *specs.LinuxResources, why error) (*cgroup.Group, error) {
	r.say("warning: " + why.Error())
	var some specs.LinuxResources
	for _, part := range limitParts() {
		one := specs.LinuxResources{}
		if !part.copy(&one, res) {
			continue
		}
		g, err := r.place(&one)
		if err != nil || g == nil {
			r.say("warning: it runs without its limit of " + part.name)
			continue
		}
		g.Remove()
		g.Close()
		part.copy(&some, res)
	}
	g, err := r.place(&some)
	if err != nil {
		r.say("warning: " + err.Error())
	}
	return g, nil
}

type limitPart struct {
	name string
	copy func(to, from *specs.LinuxResources) (there bool)
}

// limitParts are the limits that one controller keeps.
func limitParts() []limitPart {
	return []limitPart{
		{"memory", func(to, from *specs.LinuxResources) bool { to.Memory = from.Memory; return from.Memory != nil }},
		{"processor time", func(to, from *specs.LinuxResources) bool {
			if from.CPU == nil || from.CPU.Shares == nil && from.CPU.Quota == nil && from.CPU.Period == nil {
				return false
			}
			to.CPU = mergeCPU(to.CPU, specs.LinuxCPU{Shares: from.CPU.Shares, Quota: from.CPU.Quota, Period: from.CPU.Period})
			return true
		}},
		{"processors", func(to, from *specs.LinuxResources) bool {
			if from.CPU == nil || from.CPU.Cpus == "" && from.CPU.Mems == "" {
				return false
			}
			to.CPU = mergeCPU(to.CPU, specs.LinuxCPU{Cpus: from.CPU.Cpus, Mems: from.CPU.Mems})
			return true
		}},
		{"processes", func(to, from *specs.LinuxResources) bool { to.Pids = from.Pids; return from.Pids != nil }},
		{"block devices", func(to, from *specs.LinuxResources) bool { to.BlockIO = from.BlockIO; return from.BlockIO != nil }},
		{"--cgroup-conf", func(to, from *specs.LinuxResources) bool { to.Unified = from.Unified; return from.Unified != nil }},
	}
}

func mergeCPU(have *specs.LinuxCPU, more specs.LinuxCPU) *specs.LinuxCPU {
	if have != nil {
		more.Shares, more.Quota, more.Period = have.Shares, have.Quota, have.Period
	}
	return &more
}
