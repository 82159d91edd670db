package spec

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// LimitOptions are the flags that a cgroup keeps, as typed; "" is one that wasn't. `rl update` takes most of them again.
type LimitOptions struct {
	Memory            string `json:",omitempty"` // --memory, bytes or with b, k, m, g, t
	MemorySwap        string `json:",omitempty"` // --memory-swap: memory and swap together; -1: as much swap as there is
	MemoryReservation string `json:",omitempty"`
	MemorySwappiness  string `json:",omitempty"`
	CPUs              string `json:",omitempty"` // --cpus 1.5
	CPUShares         string `json:",omitempty"` // --cpu-shares, of version 1: 1024 is the default
	CPUPeriod         string `json:",omitempty"` // microseconds
	CPUQuota          string `json:",omitempty"` // microseconds a period
	CpusetCPUs        string `json:",omitempty"` // 0-2,4
	CpusetMems        string `json:",omitempty"`
	Pids              string `json:",omitempty"` // --pids-limit; 0 and -1: none
	BlkioWeight       string `json:",omitempty"` // 10 to 1000
	// PATH:WEIGHT and PATH:RATE, the path being that of a device.
	BlkioWeightDevice []string `json:",omitempty"`
	ReadBps           []string `json:",omitempty"`
	WriteBps          []string `json:",omitempty"`
	ReadIOps          []string `json:",omitempty"`
	WriteIOps         []string `json:",omitempty"`
	// Conf are files of the cgroup by name: memory.high=1G.
	Conf []string `json:",omitempty"`
}

// resources puts the limits into the spec.
func (m *maker) resources() (err error) {
	if m.s.Linux.Resources, err = m.o.Limits.Resources(); err != nil {
		return err
	}
	if m.o.OOMScoreAdj == "" {
		return nil
	}
	n, err := strconv.Atoi(m.o.OOMScoreAdj)
	if err != nil || n < -1000 || n > 1000 {
		return hint.Errorf("a number from -1000 to 1000", "--oom-score-adj %s: not a score", m.o.OOMScoreAdj)
	}
	m.s.Process.OOMScoreAdj = &n
	return nil
}

// Resources are the limits as runtime-spec config-linux.md "Control groups" has them; nil when there are none.
func (o *LimitOptions) Resources() (*specs.LinuxResources, error) {
	r := resources{res: &specs.LinuxResources{}}
	for _, step := range []func(*LimitOptions) error{r.memory, r.cpu, r.pids, r.blockIO, r.conf} {
		if err := step(o); err != nil {
			return nil, err
		}
	}
	if !r.any {
		return nil, nil
	}
	return r.res, nil
}

// With are the limits after an update.
func (o LimitOptions) With(typed LimitOptions) LimitOptions {
	if typed.CPUs != "" {
		o.CPUQuota, o.CPUPeriod = "", ""
	}
	if typed.CPUQuota != "" || typed.CPUPeriod != "" {
		o.CPUs = ""
	}
	for _, f := range [][2]*string{{&o.Memory, &typed.Memory}, {&o.MemorySwap, &typed.MemorySwap}, {&o.MemoryReservation, &typed.MemoryReservation},
		{&o.MemorySwappiness, &typed.MemorySwappiness}, {&o.CPUs, &typed.CPUs}, {&o.CPUShares, &typed.CPUShares}, {&o.CPUPeriod, &typed.CPUPeriod},
		{&o.CPUQuota, &typed.CPUQuota}, {&o.CpusetCPUs, &typed.CpusetCPUs}, {&o.CpusetMems, &typed.CpusetMems}, {&o.Pids, &typed.Pids},
		{&o.BlkioWeight, &typed.BlkioWeight}} {
		*f[0] = cmp.Or(*f[1], *f[0])
	}
	for _, f := range [][2]*[]string{{&o.BlkioWeightDevice, &typed.BlkioWeightDevice}, {&o.ReadBps, &typed.ReadBps}, {&o.WriteBps, &typed.WriteBps},
		{&o.ReadIOps, &typed.ReadIOps}, {&o.WriteIOps, &typed.WriteIOps}, {&o.Conf, &typed.Conf}} {
		*f[0] = append(*f[0], *f[1]...)
	}
	return o
}

// Lifting are the same limits for a container that has some already: there 0, which is no limit, takes one away.
func (o LimitOptions) Lifting() LimitOptions {
	if n, err := strconv.ParseFloat(o.CPUs, 64); err == nil && n == 0 && o.CPUQuota == "" {
		o.CPUs, o.CPUQuota = "", "-1"
	}
	if o.Memory == "0" {
		o.Memory = "-1"
	}
	if o.CPUShares == "0" {
		o.CPUShares = "1024"
	}
	return o
}

// Only are those of the limits that an update names, with what their meaning depends on: swap is counted together with memory.
func (o LimitOptions) Only(typed LimitOptions) LimitOptions {
	if typed.Memory+typed.MemorySwap != "" {
		typed.Memory, typed.MemorySwap = o.Memory, o.MemorySwap
	}
	return typed
}

type resources struct {
	res *specs.LinuxResources
	any bool
}

func (r *resources) memory(o *LimitOptions) error {
	if o.MemorySwappiness != "" && o.MemorySwappiness != "-1" {
		return hint.Errorf("--memory-swap SIZE limits how much is swapped", "--memory-swappiness %s: cgroup version 2 has no such knob", o.MemorySwappiness)
	}
	limit, err := bytes("--memory", o.Memory)
	if err != nil {
		return err
	}
	swap, err := swapBytes(o, limit)
	if err != nil {
		return err
	}
	low, err := bytes("--memory-reservation", o.MemoryReservation)
	if err != nil {
		return err
	}
	if limit != nil && low != nil && *low > *limit && *limit > 0 {
		return hint.Errorf("a reservation is what it gets for sure, and lies below the limit", "--memory-reservation %s is above --memory %s", o.MemoryReservation, o.Memory)
	}
	if limit != nil || swap != nil || low != nil {
		r.res.Memory, r.any = &specs.LinuxMemory{Limit: limit, Swap: swap, Reservation: low}, true
	}
	return nil
}

// swapBytes is the sum of memory and swap: without the flag twice the memory, as docker and podman have it.
func swapBytes(o *LimitOptions, limit *int64) (*int64, error) {
	if o.MemorySwap == "" || o.MemorySwap == "0" {
		if limit == nil || *limit <= 0 || *limit > math.MaxInt64/2 {
			return nil, nil
		}
		twice := *limit * 2
		return &twice, nil
	}
	swap, err := bytes("--memory-swap", o.MemorySwap)
	switch {
	case err != nil:
		return nil, err
	case limit == nil:
		return nil, hint.Errorf("--memory SIZE --memory-swap SIZE: the second is memory and swap together", "--memory-swap %s needs --memory", o.MemorySwap)
	case *swap != -1 && *limit != -1 && *swap < *limit:
		return nil, hint.Errorf("it is memory and swap together: at least --memory", "--memory-swap %s is below --memory %s", o.MemorySwap, o.Memory)
	}
	return swap, nil
}

// bytes reads a size in docker's words: 512m, 1.5g, 100MiB, -1 for no limit; nil for "" and 0.
func bytes(flag, s string) (*int64, error) {
	if s == "" || s == "0" {
		return nil, nil
	}
	if s == "-1" {
		n := int64(-1)
		return &n, nil
	}
	n, err := Size(s)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", flag, s, err)
	}
	return &n, nil
}

// Size reads a number of bytes: 512m, 1.5g, 100MiB; units are powers of 1024.
func Size(s string) (int64, error) {
	unit := strings.ToLower(strings.TrimLeft(s, "0123456789."))
	digits := s[:len(s)-len(unit)]
	shift := strings.Index("bkmgtp", cmp.Or(strings.TrimSuffix(strings.TrimSuffix(unit, "b"), "i"), "b"))
	n, err := strconv.ParseFloat(digits, 64)
	bad := err != nil || shift < 0 || unit == "i" || unit == "ib"
	if n *= math.Pow(1024, float64(max(shift, 0))); bad || n >= math.MaxInt64 {
		return 0, hint.Errorf("a number of bytes, or one with k, m, g or t", "%q is not a size such as 512m", s)
	}
	return int64(n), nil
}

func (r *resources) cpu(o *LimitOptions) error {
	var c specs.LinuxCPU
	if o.CPUs != "" && (o.CPUQuota != "" || o.CPUPeriod != "") {
		return hint.Errorf("leave one out: --cpus 1.5 is --cpu-period 100000 --cpu-quota 150000", "--cpus and --cpu-quota, --cpu-period say the same")
	}
	if err := cpus(&c, o.CPUs); err != nil {
		return err
	}
	if err := errors.Join(uintFlag("--cpu-shares", o.CPUShares, 2, 262144, &c.Shares), uintFlag("--cpu-period", o.CPUPeriod, 1000, 1000000, &c.Period)); err != nil {
		return err
	}
	if o.CPUQuota != "" {
		n, err := strconv.ParseInt(o.CPUQuota, 10, 64)
		if err != nil || n > 0 && n < 1000 {
			return hint.Errorf("microseconds a period (--cpu-period, 100000), 1000 at least; -1: no limit", "--cpu-quota %s: not a time", o.CPUQuota)
		}
		c.Quota = &n
	}
	for _, set := range []struct{ flag, value string }{{"--cpuset-cpus", o.CpusetCPUs}, {"--cpuset-mems", o.CpusetMems}} {
		if err := checkSet(set.flag, set.value); err != nil {
			return err
		}
	}
	c.Cpus, c.Mems = o.CpusetCPUs, o.CpusetMems
	if c.Quota != nil || c.Period != nil || c.Shares != nil || c.Cpus != "" || c.Mems != "" {
		r.res.CPU, r.any = &c, true
	}
	return nil
}

// cpus is a share of time, in processors.
func cpus(c *specs.LinuxCPU, s string) error {
	if s == "" {
		return nil
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || !(n >= 0) || n > 1e6 {
		return hint.Errorf("--cpus 1.5 is one and a half processors", "--cpus %s: not a number of processors", s)
	}
	if n == 0 {
		return nil
	}
	period, quota := uint64(100000), int64(n*100000)
	if quota < 1000 { // the kernel's least
		return hint.Errorf("--cpus 0.01 is the least", "--cpus %s: too little", s)
	}
	c.Period, c.Quota = &period, &quota
	return nil
}

// uintFlag reads a number of a range; 0 is the default.
func uintFlag(flag, s string, least, most uint64, to **uint64) error {
	if s == "" || s == "0" {
		return nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n < least || n > most {
		return hint.Errorf(fmt.Sprintf("a number from %d to %d", least, most), "%s %s: out of range", flag, s)
	}
	*to = &n
	return nil
}

// checkSet: a list of numbers and ranges (cpuset(7), "List format").
func checkSet(flag, s string) error {
	for part := range strings.SplitSeq(s, ",") {
		first, last, two := strings.Cut(part, "-")
		a, ok := number(first)
		b, ok2 := number(cmp.Or(last, "0"))
		if s != "" && (!ok || !ok2 || two && (last == "" || b < a)) {
			return hint.Errorf("numbers and ranges such as 0-2,4", "%s %s: not a list", flag, s)
		}
	}
	return nil
}

func (r *resources) pids(o *LimitOptions) error {
	if o.Pids == "" {
		return nil
	}
	n, err := strconv.ParseInt(o.Pids, 10, 64)
	if err != nil || n < -1 {
		return hint.Errorf("a number of processes and threads; -1: no limit", "--pids-limit %s: not a number", o.Pids)
	}
	if n == 0 {
		n = -1
	}
	r.res.Pids, r.any = &specs.LinuxPids{Limit: &n}, true
	return nil
}

func (r *resources) blockIO(o *LimitOptions) error {
	var b specs.LinuxBlockIO
	var weight *uint64
	if err := uintFlag("--blkio-weight", o.BlkioWeight, 10, 1000, &weight); err != nil {
		return err
	}
	if weight != nil {
		w := uint16(*weight)
		b.Weight = &w
	}
	for _, d := range o.BlkioWeightDevice {
		n, device, err := deviceNumber("--blkio-weight-device", d, plain)
		if err != nil || n < 10 || n > 1000 {
			return cmp.Or(err, hint.Errorf("PATH:WEIGHT, from 10 to 1000", "--blkio-weight-device %s: out of range", d))
		}
		w, one := uint16(n), specs.LinuxWeightDevice{}
		one.Major, one.Minor, one.Weight = device.Major, device.Minor, &w
		b.WeightDevice = append(b.WeightDevice, one)
	}
	if err := throttles(&b, o); err != nil {
		return err
	}
	if b.Weight != nil || len(o.BlkioWeightDevice)+len(o.ReadBps)+len(o.WriteBps)+len(o.ReadIOps)+len(o.WriteIOps) > 0 {
		r.res.BlockIO, r.any = &b, true
	}
	return nil
}

func plain(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }

func throttles(b *specs.LinuxBlockIO, o *LimitOptions) error {
	for _, rate := range []struct {
		flag  string
		typed []string
		read  func(string) (int64, error)
		to    *[]specs.LinuxThrottleDevice
	}{
		{"--device-read-bps", o.ReadBps, Size, &b.ThrottleReadBpsDevice}, {"--device-write-bps", o.WriteBps, Size, &b.ThrottleWriteBpsDevice},
		{"--device-read-iops", o.ReadIOps, plain, &b.ThrottleReadIOPSDevice}, {"--device-write-iops", o.WriteIOps, plain, &b.ThrottleWriteIOPSDevice},
	} {
		for _, typed := range rate.typed {
			n, device, err := deviceNumber(rate.flag, typed, rate.read)
			if err != nil {
				return err
			}
			one := specs.LinuxThrottleDevice{Rate: uint64(n)}
			one.Major, one.Minor = device.Major, device.Minor
			*rate.to = append(*rate.to, one)
		}
	}
	return nil
}

// deviceNumber reads PATH:NUMBER; the path is the user's.
func deviceNumber(flag, typed string, read func(string) (int64, error)) (n int64, d specs.LinuxBlockIODevice, err error) {
	at := strings.LastIndex(typed, ":")
	if at <= 0 {
		return 0, d, hint.Errorf(flag+" /dev/sda:1mb", "%s %s: not PATH:NUMBER", flag, typed)
	}
	if n, err = read(typed[at+1:]); err != nil || n < 0 {
		return 0, d, hint.Errorf(flag+" /dev/sda:1mb", "%s %s: %q is not a number", flag, typed, typed[at+1:])
	}
	var st unix.Stat_t
	path := typed[:at]
	if err := unix.Stat(path, &st); err != nil {
		return 0, d, fmt.Errorf("%s %s: %w", flag, typed, &os.PathError{Op: "stat", Path: path, Err: err})
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, d, hint.Errorf("lsblk lists them", "%s %s: %s is no block device", flag, typed, path)
	}
	d.Major, d.Minor = int64(unix.Major(st.Rdev)), int64(unix.Minor(st.Rdev))
	return n, d, nil
}

func (r *resources) conf(o *LimitOptions) error {
	for _, c := range o.Conf {
		key, value, ok := strings.Cut(c, "=")
		if !ok || key == "" || value == "" {
			return hint.Errorf("--cgroup-conf memory.high=1073741824", "--cgroup-conf %s: not FILE=VALUE", c)
		}
		if r.res.Unified == nil {
			r.res.Unified, r.any = map[string]string{}, true
		}
		r.res.Unified[key] = value
	}
	return nil
}
