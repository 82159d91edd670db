package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/seccomp"
	"github.com/rl-containers/rl/sys"
)

// complete adds what package plan leaves open: credentials, scheduling, whether there is a seccomp agent.
func complete(p *enter.Process, s *specs.Process, c *specs.Spec, noGroups bool) (err error) {
	p.Detached, p.NoGroups = true, noGroups
	p.IDs = &enter.IDs{UID: int(s.User.UID), GID: int(s.User.GID)}
	for _, g := range s.User.AdditionalGids {
		p.IDs.Groups = append(p.IDs.Groups, int(g))
	}
	p.Umask = s.User.Umask
	if p.NoGroups && len(p.IDs.Groups) > 0 {
		return hint.Errorf("map ids by newuidmap: linux.uidMappings with your subordinate ranges", "process.user.additionalGids: setgroups(2) is denied in this user namespace")
	}
	if err := labels(p, c); err != nil {
		return err
	}
	if p.Scheduling, err = scheduling(s); err != nil {
		return err
	}
	// As runc: what whoever starts the runtime is tied to (a service's CPUAffinity) is not the container's.
	p.Scheduling.AllOf = true
	p.Env = environment(s.Env)
	if p.Scheduling.Personality, err = personality(c.Linux.Personality); err != nil {
		return err
	}
	if c.Linux.Seccomp != nil && c.Linux.Seccomp.ListenerPath != "" {
		p.Notify = -1 // its number is known when the connection is made
	}
	return nil
}

// environment is without names that stand twice, the last one counts, and without an empty HOME, which passwd is asked for.
func environment(env []string) []string {
	return slices.DeleteFunc(override(nil, env), func(e string) bool { return e == "HOME=" })
}

// setgroupsDenied looks at the user namespace of a process: a number, or self.
func setgroupsDenied(process string) bool {
	b, err := os.ReadFile("/proc/" + process + "/setgroups")
	return err == nil && strings.TrimSpace(string(b)) == "deny"
}

// labels leaves out what asks for nothing, and refuses what this kernel can't do: a confinement that is asked for and missing
// would go unnoticed.
func labels(p *enter.Process, c *specs.Spec) error {
	if p.Apparmor == "unconfined" && !enabled("/sys/module/apparmor/parameters/enabled", "Y") {
		p.Apparmor = ""
	}
	if p.Apparmor != "" && !enabled("/sys/module/apparmor/parameters/enabled", "Y") {
		return hint.Errorf("leave process.apparmorProfile out", "apparmor profile %s: this kernel runs without AppArmor", p.Apparmor)
	}
	if p.Label != "" && !enabled("/sys/fs/selinux/enforce", "") {
		return hint.Errorf("leave process.selinuxLabel out", "SELinux label %s: this kernel runs without SELinux", p.Label)
	}
	return nil
}

func enabled(file, want string) bool {
	b, err := os.ReadFile(file)
	return err == nil && strings.HasPrefix(string(b), want)
}

// filter is the seccomp filter of the spec.
type filter struct {
	program  []byte
	flags    uint
	notifies bool
	err      error
}

// compileFilter works beside the start of the process, which takes longer; the process gets it with its plan.
func compileFilter(s *specs.LinuxSeccomp) <-chan filter {
	c := make(chan filter, 1)
	if s == nil {
		close(c)
		return c
	}
	go func() {
		var f filter
		f.program, f.flags, f.notifies, f.err = seccomp.FromSpec(s)
		if f.err == nil && f.notifies && s.ListenerPath == "" {
			f.err = errors.New("SCMP_ACT_NOTIFY needs a listenerPath")
		}
		c <- f
	}()
	return c
}

// addFilter waits for it.
func addFilter(p *enter.Process, c <-chan filter) error {
	f, some := <-c
	if !some {
		return nil
	}
	p.Seccomp, p.SeccompFlags = [][]byte{f.program}, f.flags
	if f.err != nil {
		return fmt.Errorf("linux.seccomp: %w", f.err)
	}
	return nil
}

// notifyMessage is what the seccomp agent is told (runtime-spec config-linux.md, "The Container Process State").
func notifyMessage(p *enter.Process, s *specs.Spec, state specs.State) ([]byte, error) {
	if p.Notify == 0 {
		return nil, nil
	}
	return json.Marshal(specs.ContainerProcessState{Version: specs.Version, Fds: []string{specs.SeccompFdName}, Pid: state.Pid,
		Metadata: s.Linux.Seccomp.ListenerMetadata, State: state})
}

// setOOMScore sets the caller's own, which the container's process inherits.
func setOOMScore(s *specs.Process) error {
	if s.OOMScoreAdj == nil {
		return nil
	}
	err := os.WriteFile("/proc/self/oom_score_adj", []byte(strconv.Itoa(*s.OOMScoreAdj)), 0)
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		// Without CAP_SYS_RESOURCE it can't go below the caller's; engines pass their own value down and mean "at least".
		return nil
	}
	return err
}

func scheduling(s *specs.Process) (sys.Scheduling, error) {
	var out sys.Scheduling
	var err error
	if s.Scheduler != nil {
		if out.Attr, err = schedAttr(s.Scheduler); err != nil {
			return out, err
		}
	}
	if s.IOPriority != nil {
		class, ok := map[specs.IOPriorityClass]int{specs.IOPRIO_CLASS_RT: 1, specs.IOPRIO_CLASS_BE: 2, specs.IOPRIO_CLASS_IDLE: 3}[s.IOPriority.Class]
		if !ok || s.IOPriority.Priority < 0 || s.IOPriority.Priority > 7 {
			return out, fmt.Errorf("process.ioPriority: class %q with priority %d: IOPRIO_CLASS_RT, _BE or _IDLE with 0 to 7", s.IOPriority.Class, s.IOPriority.Priority)
		}
		value := class<<13 | s.IOPriority.Priority
		out.IOPriority = &value
	}
	return out, err
}

func personality(p *specs.LinuxPersonality) (*uint, error) {
	if p == nil {
		return nil, nil
	}
	domain, ok := map[specs.LinuxPersonalityDomain]uint{specs.PerLinux: 0, specs.PerLinux32: 8}[p.Domain]
	if !ok || len(p.Flags) > 0 {
		return nil, fmt.Errorf("linux.personality: domain %q with flags %v: LINUX or LINUX32 without flags", p.Domain, p.Flags)
	}
	return &domain, nil
}

func schedAttr(s *specs.Scheduler) (*unix.SchedAttr, error) {
	policies := map[specs.LinuxSchedulerPolicy]uint32{specs.SchedOther: 0, specs.SchedFIFO: 1, specs.SchedRR: 2, specs.SchedBatch: 3,
		specs.SchedISO: 4, specs.SchedIdle: 5, specs.SchedDeadline: 6}
	policy, ok := policies[s.Policy]
	if !ok {
		return nil, fmt.Errorf("process.scheduler: unknown policy %q", s.Policy)
	}
	flags := map[specs.LinuxSchedulerFlag]uint64{specs.SchedFlagResetOnFork: 1, specs.SchedFlagReclaim: 2, specs.SchedFlagDLOverrun: 4,
		specs.SchedFlagKeepPolicy: 8, specs.SchedFlagKeepParams: 16, specs.SchedFlagUtilClampMin: 32, specs.SchedFlagUtilClampMax: 64}
	a := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Nice: s.Nice, Priority: uint32(s.Priority),
		Runtime: s.Runtime, Deadline: s.Deadline, Period: s.Period}
	for _, f := range s.Flags {
		bit, ok := flags[f]
		if !ok {
			return nil, fmt.Errorf("process.scheduler: unknown flag %q", f)
		}
		a.Flags |= bit
	}
	return a, nil
}

// processors reads execCPUAffinity's lists.
func processors(list string) ([]int, error) {
	all, err := numbers(list)
	if err != nil {
		return nil, fmt.Errorf("execCPUAffinity %w", err)
	}
	return all, nil
}

// numbers reads a list as in cpuset(7): "0-3,7".
func numbers(list string) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(list, ",") {
		if part == "" {
			continue
		}
		first, last, ok := strings.Cut(strings.TrimSpace(part), "-")
		if !ok {
			last = first
		}
		a, err1 := strconv.Atoi(first)
		b, err2 := strconv.Atoi(last)
		if err1 != nil || err2 != nil || a < 0 || b < a || b >= 8192 {
			return nil, fmt.Errorf("%q: not a list of numbers such as 0-3,7", list)
		}
		for ; a <= b; a++ {
			all = append(all, a)
		}
	}
	return all, nil
}

// timeOffsets are the lines of /proc/PID/timens_offsets (time_namespaces(7)).
func timeOffsets(s *specs.Spec) string {
	if s.Linux == nil {
		return ""
	}
	var b strings.Builder
	for _, clock := range slices.Sorted(maps.Keys(s.Linux.TimeOffsets)) {
		o := s.Linux.TimeOffsets[clock]
		fmt.Fprintf(&b, "%s %d %d\n", clock, o.Secs, o.Nanosecs)
	}
	return b.String()
}
