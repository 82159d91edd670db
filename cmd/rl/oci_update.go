package main

import (
	"fmt"
	"io"
	"os"

	"github.com/docker/go-units"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/hint"
)

type ociUpdate struct {
	Resources string `short:"r" placeholder:"FILE" help:"The limits as JSON, linux.resources of config.json; - is stdin. Goes with no other flag."`

	Memory            *ociBytes `placeholder:"SIZE" help:"Memory limit; -1 is none."`
	MemoryReservation *ociBytes `placeholder:"SIZE" help:"Memory that is kept for it."`
	MemorySwap        *ociBytes `placeholder:"SIZE" help:"Limit of memory and swap together; -1 is none."`
	CPUPeriod         *uint64   `name:"cpu-period" placeholder:"USEC" help:"Period of the CPU limit."`
	CPUQuota          *int64    `name:"cpu-quota" placeholder:"USEC" help:"CPU time a period."`
	CPUBurst          *uint64   `name:"cpu-burst" placeholder:"USEC" help:"Unused CPU time that may be saved up."`
	CPUShare          *uint64   `name:"cpu-share" placeholder:"N" help:"CPU weight, 1024 is usual."`
	CPUIdle           *int64    `name:"cpu-idle" placeholder:"0|1" help:"1: only when nothing else wants the CPU."`
	CPURtPeriod       *uint64   `name:"cpu-rt-period" placeholder:"USEC" help:"Period of realtime."`
	CPURtRuntime      *int64    `name:"cpu-rt-runtime" placeholder:"USEC" help:"Realtime a period."`
	CpusetCpus        string    `placeholder:"LIST" help:"CPUs to use: 0-2,4."`
	CpusetMems        string    `placeholder:"LIST" help:"Memory nodes to use."`
	BlkioWeight       *uint16   `placeholder:"N" help:"I/O weight, 10 to 1000."`
	PidsLimit         *int64    `placeholder:"N" help:"Limit of processes; -1 is none."`

	KernelMemory    string `hidden:"" help:"Not supported."`
	KernelMemoryTCP string `hidden:"" name:"kernel-memory-tcp" help:"Not supported."`
	L3CacheSchema   string `name:"l3-cache-schema" placeholder:"TEXT" help:"Not supported."`
	MemBwSchema     string `placeholder:"TEXT" help:"Not supported."`

	ID string `arg:"" name:"container" help:"Container."`
}

// ociBytes is a size: 64m, 1.5GiB, or a number of bytes; -1 is no limit.
type ociBytes int64

// UnmarshalText reads it for kong.
func (b *ociBytes) UnmarshalText(text []byte) error {
	if string(text) == "-1" {
		*b = -1
		return nil
	}
	n, err := units.RAMInBytes(string(text))
	*b = ociBytes(n)
	return err
}

// Run is `update`.
func (v *ociUpdate) Run(c *ociCall) error {
	r, err := v.resources(c.in)
	if err != nil {
		return fmt.Errorf("update: %w", err)
	}
	return c.runtime.Update(v.ID, r)
}

func (v *ociUpdate) resources(stdin io.Reader) (*specs.LinuxResources, error) {
	for _, err := range []error{
		refused("--kernel-memory", v.KernelMemory, "the kernel has no such limit any more"),
		refused("--kernel-memory-tcp", v.KernelMemoryTCP, "cgroup v2 has no such limit"),
		refused("--l3-cache-schema", v.L3CacheSchema, "Intel RDT belongs to root"),
		refused("--mem-bw-schema", v.MemBwSchema, "Intel RDT belongs to root"),
	} {
		if err != nil {
			return nil, err
		}
	}
	typed := v.typed()
	switch {
	case v.Resources == "" && typed == nil:
		return nil, hint.Errorf("rl-oci update --help", "no limit is named")
	case v.Resources == "":
		return typed, nil
	case typed != nil:
		return nil, fmt.Errorf("--resources goes with no other limit")
	}
	if v.Resources != "-" {
		f, err := os.Open(v.Resources)
		if err != nil {
			return nil, fmt.Errorf("--resources: %w", err)
		}
		defer f.Close()
		stdin = f
	}
	r := new(specs.LinuxResources)
	if err := readJSON(stdin, r); err != nil {
		return nil, fmt.Errorf("--resources %s: %w", v.Resources, err)
	}
	return r, nil
}

// typed are the limits that flags name; nil when there is none.
func (v *ociUpdate) typed() *specs.LinuxResources {
	var r specs.LinuxResources
	any := false
	if m := (specs.LinuxMemory{Limit: (*int64)(v.Memory), Reservation: (*int64)(v.MemoryReservation), Swap: (*int64)(v.MemorySwap)}); m != (specs.LinuxMemory{}) {
		r.Memory, any = &m, true
	}
	if p := (specs.LinuxCPU{Shares: v.CPUShare, Quota: v.CPUQuota, Burst: v.CPUBurst, Period: v.CPUPeriod, RealtimeRuntime: v.CPURtRuntime,
		RealtimePeriod: v.CPURtPeriod, Cpus: v.CpusetCpus, Mems: v.CpusetMems, Idle: v.CPUIdle}); p != (specs.LinuxCPU{}) {
		r.CPU, any = &p, true
	}
	if v.BlkioWeight != nil {
		r.BlockIO, any = &specs.LinuxBlockIO{Weight: v.BlkioWeight}, true
	}
	if v.PidsLimit != nil {
		r.Pids, any = &specs.LinuxPids{Limit: v.PidsLimit}, true
	}
	if !any {
		return nil
	}
	return &r
}
