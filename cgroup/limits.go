package cgroup

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/rl-containers/rl/hint"
)

// setting is one value for one file of a cgroup.
type setting struct {
	file, value string
	may         bool     // a file that isn't there is no failure: the kernel lacks what the value would limit
	or          *setting // instead, when the file isn't there
}

// controller is the one that the file belongs to, "" for the core's.
func (s setting) controller() string {
	name, _, _ := strings.Cut(s.file, ".")
	if name == "cgroup" {
		return ""
	}
	return name
}

// isDefault: a new cgroup has this value already.
func (s setting) isDefault() bool {
	_, kind, _ := strings.Cut(s.file, ".")
	switch {
	case kind == "max" || kind == "high" || strings.HasSuffix(kind, ".max") || strings.HasSuffix(kind, ".high"):
		return s.value == "max" || s.file == "cpu.max" && strings.HasPrefix(s.value, "max") || s.file == "io.max" && strings.HasSuffix(s.value, "=max")
	case kind == "low" || kind == "min" || s.file == "cpu.idle" || s.file == "cpu.max.burst":
		return s.value == "0"
	}
	return s.file == "cpu.weight" && s.value == "100"
}

// controllers are those that the settings need, each once.
func controllers(set []setting) []string {
	var all []string
	for _, s := range set {
		if name := s.controller(); name != "" {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// limits are an OCI config's resources, which speak the language of version 1, as settings of version 2.
type limits struct {
	now   func(file string) string // a value of the cgroup as it is, "" for a new one
	set   []setting
	notes []string // what version 2 can't do and nothing depends on
	errs  []error
}

// compile translates. It touches nothing.
func compile(res *specs.LinuxResources, now func(file string) string) (*limits, error) {
	l := &limits{now: now}
	if res == nil {
		return l, nil
	}
	l.memory(cmp.Or(res.Memory, &specs.LinuxMemory{}))
	l.cpu(cmp.Or(res.CPU, &specs.LinuxCPU{}))
	l.pids(cmp.Or(res.Pids, &specs.LinuxPids{}))
	l.blockIO(cmp.Or(res.BlockIO, &specs.LinuxBlockIO{}))
	l.hugepages(res.HugepageLimits)
	l.rdma(res.Rdma)
	l.network(res.Network)
	l.unified(res.Unified)
	return l, errors.Join(l.errs...)
}

func (l *limits) add(file, value string) { l.set = append(l.set, setting{file: file, value: value}) }

func (l *limits) note(format string, args ...any) {
	l.notes = append(l.notes, fmt.Sprintf(format, args...))
}

func (l *limits) fail(err error) { l.errs = append(l.errs, err) }

// value of a field that may be missing: zero means "unset" in nearly all of them.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func (l *limits) memory(m *specs.LinuxMemory) {
	if value(m.DisableOOMKiller) {
		l.fail(errors.New("memory.disableOOMKiller: cgroup version 2 has no such switch"))
	}
	if m.Swappiness != nil {
		l.note("memory.swappiness %d is left out: cgroup version 2 has no such knob", *m.Swappiness)
	}
	//lint:ignore SA1019 deprecated, but sent
	if value(m.Kernel) > 0 {
		l.note("memory.kernel is left out: kernel memory counts as memory in cgroup version 2")
	}
	if value(m.KernelTCP) > 0 {
		l.note("memory.kernelTCP is left out: socket buffers count as memory in cgroup version 2")
	}
	limit, swap, low := value(m.Limit), value(m.Swap), value(m.Reservation)
	if value(m.CheckBeforeUpdate) {
		l.fits("memory", limit)
		l.fits("memory+swap", swap)
	}
	l.swap(swap, limit)
	l.bytes("memory.max", limit)
	l.bytes("memory.low", low)
}

// fits refuses a limit that is used up already, which would set the OOM killer loose.
func (l *limits) fits(what string, limit int64) {
	used, err := strconv.ParseInt(l.now("memory.current"), 10, 64)
	if limit > 0 && err == nil && limit <= used {
		l.fail(fmt.Errorf("%s limit %d is not above the %d bytes in use", what, limit, used))
	}
}

// bytes adds a limit in bytes: 0 is unset, -1 unlimited.
func (l *limits) bytes(file string, n int64) {
	switch {
	case n == -1:
		l.add(file, "max")
	case n < 0:
		l.fail(fmt.Errorf("%s: %d is no number of bytes", file, n))
	case n > 0:
		l.add(file, strconv.FormatInt(n, 10))
	}
}

func (l *limits) swap(swap, limit int64) {
	if limit == 0 && swap > 0 { // an update of swap alone
		limit, _ = strconv.ParseInt(l.now("memory.max"), 10, 64)
	}
	v, err := swapMax(swap, limit)
	if err != nil {
		l.fail(err)
	} else if v != "" {
		// No file: no swap or no accounting of it (swapaccount=0). No swap at all is then what there is anyway.
		l.set = append(l.set, setting{file: "memory.swap.max", value: v, may: v == "max" || v == "0"})
	}
}

// swapMax is memory.swap.max. The spec's figure is that of version 1: memory and swap together; version 2 counts swap alone.
func swapMax(swap, limit int64) (string, error) {
	switch {
	case swap < -1:
		return "", fmt.Errorf("memory.swap: %d is no number of bytes", swap)
	case swap == -1, swap == 0 && limit == -1: // version 1 lifts both when memory is lifted
		return "max", nil
	case swap == 0:
		return "", nil
	case limit == -1: // of an unlimited sum the rest can't be told; runc takes it as it is
		return strconv.FormatInt(swap, 10), nil
	case limit == 0:
		return "", errors.New("memory.swap (memory and swap together) needs memory.limit")
	case swap < limit:
		return "", fmt.Errorf("memory.swap (memory and swap together) %d is below memory.limit %d", swap, limit)
	}
	return strconv.FormatInt(swap-limit, 10), nil
}

func (l *limits) pids(p *specs.LinuxPids) {
	switch {
	case p.Limit == nil:
	case *p.Limit < 0:
		l.add("pids.max", "max")
	default:
		// 0 would keep even the container's first process out when it is cloned into the cgroup; 1 is what runc makes of it.
		l.add("pids.max", strconv.FormatInt(max(*p.Limit, 1), 10))
	}
}

func (l *limits) cpu(c *specs.LinuxCPU) {
	if value(c.RealtimeRuntime) > 0 || value(c.RealtimePeriod) > 0 {
		l.fail(errors.New("cpu.realtimeRuntime, cpu.realtimePeriod: cgroup version 2 has no limit of realtime scheduling"))
	}
	l.weight(value(c.Shares), c.Idle)
	l.bandwidth(value(c.Quota), value(c.Period), c.Burst)
	if c.Cpus != "" {
		l.add("cpuset.cpus", c.Cpus)
	}
	if c.Mems != "" {
		l.add("cpuset.mems", c.Mems)
	}
}

// weight: an idle group has the least weight of all and takes no other (EINVAL), so giving it shares takes it out of idleness.
func (l *limits) weight(shares uint64, idle *int64) {
	if idle == nil && shares != 0 && l.now("cpu.idle") == "1" {
		idle = new(int64)
	}
	if idle != nil {
		l.add("cpu.idle", strconv.FormatInt(*idle, 10))
	}
	if shares != 0 && value(idle) != 1 {
		l.add("cpu.weight", strconv.FormatUint(sharesToWeight(shares), 10))
	}
}

// sharesToWeight maps the cpu shares of version 1 (2 to 262144, usual 1024) to the weight of version 2 (1 to 10000, usual 100) by
// the curve through these three points: log10(weight) = (s² + 125 s) / 612 − 7/34, where s = log2(shares), rounded up. runc (since
// 1.3.2) and crun (since 1.23) use it; the straight line of before gave the usual 1024 shares a weight of 39.
func sharesToWeight(shares uint64) uint64 {
	switch {
	case shares <= 2:
		return 1
	case shares >= 1<<18:
		return 10000
	}
	s := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (s*s+125*s)/612-7.0/34)))
}

// bandwidth: cpu.max holds quota and period, of which an update may bring one. The burst must not be above the quota at any time:
// it goes first when the quota that is there allows it.
func (l *limits) bandwidth(quota int64, period uint64, burst *uint64) {
	was, _, _ := strings.Cut(l.now("cpu.max"), " ")
	was = cmp.Or(was, "max")
	first := len(l.set)
	if quota != 0 || period != 0 {
		l.add("cpu.max", cpuMax(quota, period, was))
	}
	if burst == nil {
		return
	}
	s := setting{file: "cpu.max.burst", value: strconv.FormatUint(*burst, 10)}
	if allowed, err := strconv.ParseUint(was, 10, 64); err != nil || *burst <= allowed {
		l.set = slices.Insert(l.set, first, s)
	} else {
		l.set = append(l.set, s)
	}
}

// cpuMax: a quota alone keeps the period that is set (the kernel's is 100 ms), a period alone the quota.
func cpuMax(quota int64, period uint64, was string) string {
	v := was
	switch {
	case quota < 0:
		v = "max"
	case quota > 0:
		v = strconv.FormatInt(quota, 10)
	}
	if period != 0 {
		v += " " + strconv.FormatUint(period, 10)
	}
	return v
}

func (l *limits) blockIO(b *specs.LinuxBlockIO) {
	if value(b.LeafWeight) != 0 {
		l.note("blockIO.leafWeight is left out: cgroup version 2 has none")
	}
	if w := value(b.Weight); w != 0 {
		l.ioWeight("", w)
	}
	for _, d := range b.WeightDevice {
		if w := value(d.Weight); w != 0 {
			l.ioWeight(fmt.Sprintf("%d:%d ", d.Major, d.Minor), w)
		}
	}
	l.throttle("rbps", b.ThrottleReadBpsDevice)
	l.throttle("wbps", b.ThrottleWriteBpsDevice)
	l.throttle("riops", b.ThrottleReadIOPSDevice)
	l.throttle("wiops", b.ThrottleWriteIOPSDevice)
}

// ioWeight is for the BFQ scheduler, where the kernel has it, else for the io.cost controller, whose scale is another.
func (l *limits) ioWeight(device string, w uint16) {
	if w < 10 || w > 1000 {
		l.fail(fmt.Errorf("blockIO weight %d is not between 10 and 1000", w))
		return
	}
	l.set = append(l.set, setting{
		file: "io.bfq.weight", value: device + strconv.Itoa(int(w)),
		or: &setting{file: "io.weight", value: device + strconv.FormatUint(blkioToIO(w), 10)},
	})
}

// blkioToIO maps 10…1000 of version 1 to 1…10000, as runc and crun do.
func blkioToIO(w uint16) uint64 { return 1 + (uint64(w)-10)*9999/990 }

func (l *limits) throttle(key string, devices []specs.LinuxThrottleDevice) {
	for _, d := range devices {
		rate := "max" // 0 took a limit away in version 1
		if d.Rate != 0 {
			rate = strconv.FormatUint(d.Rate, 10)
		}
		l.add("io.max", fmt.Sprintf("%d:%d %s=%s", d.Major, d.Minor, key, rate))
	}
}

// hugepages limits what is used and, where the kernel can (5.7), what is reserved: a program that maps more is told at once
// instead of being killed by SIGBUS when it touches it.
func (l *limits) hugepages(all []specs.LinuxHugepageLimit) {
	for _, h := range all {
		if checkName(h.Pagesize) != nil || strings.Contains(h.Pagesize, ".") || h.Pagesize == "" {
			l.fail(fmt.Errorf("hugepageLimits: %q is no page size", h.Pagesize))
			continue
		}
		n := strconv.FormatUint(h.Limit, 10)
		if h.Limit == math.MaxUint64 {
			n = "max"
		}
		l.add("hugetlb."+h.Pagesize+".max", n)
		l.set = append(l.set, setting{file: "hugetlb." + h.Pagesize + ".rsvd.max", value: n, may: true})
	}
}

func (l *limits) rdma(all map[string]specs.LinuxRdma) {
	for _, device := range slices.Sorted(maps.Keys(all)) {
		if checkName(device) != nil || strings.ContainsAny(device, " \t") || device == "" {
			l.fail(fmt.Errorf("rdma: %q is no device", device))
			continue
		}
		v := device
		if n := all[device].HcaHandles; n != nil {
			v += fmt.Sprintf(" hca_handle=%d", *n)
		}
		if n := all[device].HcaObjects; n != nil {
			v += fmt.Sprintf(" hca_object=%d", *n)
		}
		if v != device {
			l.add("rdma.max", v)
		}
	}
}

func (l *limits) network(n *specs.LinuxNetwork) {
	if n != nil && (value(n.ClassID) != 0 || len(n.Priorities) > 0) {
		l.note("network.classID and network.priorities are left out: cgroup version 2 has none")
	}
}

// unified are files of version 2 by name. They are written last, and so decide where both languages name a limit.
func (l *limits) unified(all map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if err := checkUnified(key); err != nil {
			l.fail(err)
			continue
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(all[key], "\n"), "\n") { // one device a line, one write a line
			l.add(key, line)
		}
	}
}

// checkUnified lets limits through only: cgroup.procs of a hostile bundle would draw the caller's other processes in, to be
// killed with the container.
func checkUnified(key string) error {
	controller, kind, ok := strings.Cut(key, ".")
	switch {
	case !ok || controller == "" || kind == "" || checkName(key) != nil || strings.Contains(key, ".."):
		return hint.Errorf(`"unified": {"memory.high": "1000000"}`, "resources.unified: %q is not CONTROLLER.PARAMETER, the name of a file", key)
	case controller == "cgroup" && kind != "max.depth" && kind != "max.descendants" && kind != "pressure":
		return fmt.Errorf("resources.unified: %s is no limit", key)
	}
	return nil
}
