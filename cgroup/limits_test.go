package cgroup

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// The three points that the curve is made for; those in between were computed apart from this code.
func TestSharesToWeight(t *testing.T) {
	for shares, want := range map[uint64]uint64{
		1: 1, 2: 1, 3: 2, 4: 2, 64: 12, 100: 17, 256: 35, 512: 59, 1023: 100, 1024: 100, 1025: 101, 2048: 174, 10240: 639, 262143: 10000, 262144: 10000, 1 << 40: 10000,
	} {
		if got := sharesToWeight(shares); got != want {
			t.Errorf("%d shares: %d, want %d", shares, got, want)
		}
	}
	for s, last := uint64(2), uint64(0); s < 1<<18; s += 97 {
		w := sharesToWeight(s)
		if w < last || w < 1 || w > 10000 {
			t.Fatalf("%d shares: %d after %d", s, w, last)
		}
		last = w
	}
}

func TestBlkioToIO(t *testing.T) {
	for weight, want := range map[uint16]uint64{10: 1, 100: 910, 500: 4950, 1000: 10000} {
		if got := blkioToIO(weight); got != want {
			t.Errorf("%d: %d, want %d", weight, got, want)
		}
	}
}

func TestSwapMax(t *testing.T) {
	for _, c := range []struct {
		swap, limit int64
		want        string
		bad         bool
	}{
		{0, 0, "", false}, {0, 100, "", false}, {0, -1, "max", false}, {-1, 100, "max", false}, {-1, 0, "max", false},
		{300, 100, "200", false}, {100, 100, "0", false}, {300, -1, "300", false},
		{50, 100, "", true}, {50, 0, "", true}, {-2, 100, "", true},
	} {
		got, err := swapMax(c.swap, c.limit)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("swap %d, limit %d: %q, %v", c.swap, c.limit, got, err)
		}
	}
}

// show is a readable list of settings; what a new cgroup has anyway is in parentheses.
func show(set []setting) string {
	var all []string
	for _, s := range set {
		text := s.file + "=" + s.value
		if s.or != nil {
			text += "|" + s.or.file + "=" + s.or.value
		}
		if s.isDefault() {
			text = "(" + text + ")"
		}
		all = append(all, text)
	}
	return strings.Join(all, "; ")
}

func resources(t testing.TB, text string) *specs.LinuxResources {
	t.Helper()
	res := &specs.LinuxResources{}
	if err := json.Unmarshal([]byte(text), res); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return res
}

func TestCompile(t *testing.T) {
	for _, c := range []struct{ res, want string }{
		{`{}`, ``},
		{`{"devices":[{"allow":false,"access":"rwm"}]}`, ``},
		{`{"memory":{"limit":1000,"swap":1500,"reservation":500}}`, `memory.swap.max=500; memory.max=1000; memory.low=500`},
		{`{"memory":{"limit":-1}}`, `(memory.swap.max=max); (memory.max=max)`},
		{`{"memory":{"limit":0,"swap":0,"reservation":0,"disableOOMKiller":false,"kernel":5,"swappiness":0}}`, ``},
		{`{"cpu":{"shares":1024}}`, `(cpu.weight=100)`},
		{`{"cpu":{"shares":0,"quota":0,"period":0,"realtimeRuntime":0}}`, ``},
		{`{"cpu":{"shares":512,"quota":50000,"period":100000,"cpus":"0-1","mems":"0"}}`, `cpu.weight=59; cpu.max=50000 100000; cpuset.cpus=0-1; cpuset.mems=0`},
		{`{"cpu":{"quota":-1,"period":100000}}`, `(cpu.max=max 100000)`},
		{`{"cpu":{"period":100000}}`, `(cpu.max=max 100000)`},
		{`{"cpu":{"quota":5000,"burst":2000}}`, `cpu.max.burst=2000; cpu.max=5000`},
		{`{"cpu":{"idle":1,"shares":512}}`, `cpu.idle=1`},
		{`{"cpu":{"idle":0,"shares":512}}`, `(cpu.idle=0); cpu.weight=59`},
		{`{"pids":{}}`, ``},
		{`{"pids":{"limit":-1}}`, `(pids.max=max)`},
		{`{"pids":{"limit":0}}`, `pids.max=1`},
		{`{"pids":{"limit":64}}`, `pids.max=64`},
		{`{"blockIO":{"weight":500,"leafWeight":10,"weightDevice":[{"major":8,"minor":0,"weight":1000}]}}`,
			`io.bfq.weight=500|io.weight=4950; io.bfq.weight=8:0 1000|io.weight=8:0 10000`},
		{`{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":9}],"throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":0}]}}`,
			`io.max=8:0 rbps=9; (io.max=8:0 wiops=max)`},
		{`{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}`, `hugetlb.2MB.max=4194304; hugetlb.2MB.rsvd.max=4194304`},
		{`{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":4},"a":{}}}`, `rdma.max=mlx5_1 hca_handle=3 hca_object=4`},
		{`{"network":{"classID":7}}`, ``},
		{`{"pids":{"limit":5},"unified":{"pids.max":"7","io.max":"8:0 rbps=1\n8:16 rbps=2\n","memory.high":"max"}}`,
			`pids.max=5; io.max=8:0 rbps=1; io.max=8:16 rbps=2; (memory.high=max); pids.max=7`},
		{`{"unified":{"cgroup.max.depth":"3"}}`, `cgroup.max.depth=3`},
	} {
		l, err := compile(resources(t, c.res), func(string) string { return "" })
		if err != nil || show(l.set) != c.want {
			t.Errorf("%s:\n got %s, %v\nwant %s", c.res, show(l.set), err, c.want)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for res, want := range map[string]string{
		`{"memory":{"disableOOMKiller":true}}`:           "no such switch",
		`{"memory":{"limit":-7}}`:                        "no number of bytes",
		`{"memory":{"swap":7}}`:                          "needs memory.limit",
		`{"cpu":{"realtimeRuntime":7}}`:                  "realtime",
		`{"blockIO":{"weight":5}}`:                       "between 10 and 1000",
		`{"hugepageLimits":[{"pageSize":"2MB/../x"}]}`:   "no page size",
		`{"hugepageLimits":[{"pageSize":""}]}`:           "no page size",
		`{"rdma":{"a b":{"hcaHandles":1}}}`:              "no device",
		`{"unified":{"memory":"1"}}`:                     "CONTROLLER.PARAMETER",
		`{"unified":{"../memory.max":"1"}}`:              "CONTROLLER.PARAMETER",
		`{"unified":{"..":"1"}}`:                         "CONTROLLER.PARAMETER",
		`{"unified":{"a/b.c":"1"}}`:                      "CONTROLLER.PARAMETER",
		`{"unified":{"cgroup.procs":"1"}}`:               "no limit",
		`{"unified":{"cgroup.kill":"1"}}`:                "no limit",
		`{"unified":{"cgroup.subtree_control":"+pids"}}`: "no limit",
	} {
		_, err := compile(resources(t, res), func(string) string { return "" })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", res, err, want)
		}
	}
}

// TestCompileUpdate: what an update leaves out is taken from the cgroup.
func TestCompileUpdate(t *testing.T) {
	for _, c := range []struct{ now, res, want, err string }{
		{"memory.max=1000", `{"memory":{"swap":1500}}`, `memory.swap.max=500`, ``},
		{"memory.max=max", `{"memory":{"swap":1500}}`, ``, `needs memory.limit`},
		{"memory.current=900", `{"memory":{"limit":800,"checkBeforeUpdate":true}}`, ``, `not above the 900 bytes`},
		{"memory.current=900", `{"memory":{"limit":800,"checkBeforeUpdate":false}}`, `memory.max=800`, ``},
		{"memory.current=900", `{"memory":{"limit":1000,"checkBeforeUpdate":true}}`, `memory.max=1000`, ``},
		{"cpu.max=5000 100000", `{"cpu":{"period":20000}}`, `cpu.max=5000 20000`, ``},
		{"cpu.max=5000 100000", `{"cpu":{"quota":7000}}`, `cpu.max=7000`, ``},
		{"cpu.max=5000 100000", `{"cpu":{"quota":9000,"burst":8000}}`, `cpu.max=9000; cpu.max.burst=8000`, ``},
		{"cpu.max=5000 100000", `{"cpu":{"quota":4000,"burst":3000}}`, `cpu.max.burst=3000; cpu.max=4000`, ``},
		{"cpu.max=5000 100000", `{"cpu":{"burst":8000}}`, `cpu.max.burst=8000`, ``},
		{"cpu.idle=1", `{"cpu":{"shares":1024}}`, `(cpu.idle=0); (cpu.weight=100)`, ``},
		{"cpu.idle=1", `{"cpu":{"cpus":"0"}}`, `cpuset.cpus=0`, ``},
	} {
		file, is, _ := strings.Cut(c.now, "=")
		l, err := compile(resources(t, c.res), func(name string) string {
			if name == file {
				return is
			}
			return ""
		})
		switch {
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s on %s: %v, want an error with %q", c.res, c.now, err, c.err)
		case c.err == "" && (err != nil || show(l.set) != c.want):
			t.Errorf("%s on %s:\n got %s, %v\nwant %s", c.res, c.now, show(l.set), err, c.want)
		}
	}
}

func TestControllers(t *testing.T) {
	l, err := compile(resources(t, `{"memory":{"limit":9},"pids":{"limit":9},"blockIO":{"weight":10},"unified":{"memory.high":"3","cgroup.max.depth":"3"}}`), func(string) string { return "" })
	if got := fmt.Sprint(controllers(l.set)); err != nil || got != "[io memory pids]" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestNotes(t *testing.T) {
	l, err := compile(resources(t, `{"memory":{"swappiness":5,"kernel":1,"kernelTCP":1},"network":{"priorities":[{"name":"eth0","priority":1}]}}`), func(string) string { return "" })
	if err != nil || len(l.notes) != 4 || slices.ContainsFunc(l.notes, func(s string) bool { return !strings.Contains(s, "left out") }) {
		t.Errorf("%q, %v", l.notes, err)
	}
}

// FuzzCompile: no resources of a bundle name a file outside the cgroup, or one that is no limit.
func FuzzCompile(f *testing.F) {
	f.Add(`{"unified":{"../x.y":"1"},"hugepageLimits":[{"pageSize":"../../x"}],"rdma":{"../x":{"hcaHandles":1}}}`)
	f.Add(`{"memory":{"limit":-9223372036854775808,"swap":9223372036854775807}}`)
	f.Fuzz(func(t *testing.T, text string) {
		res := &specs.LinuxResources{}
		if json.Unmarshal([]byte(text), res) != nil {
			return
		}
		l, err := compile(res, func(string) string { return "" })
		if err != nil {
			return
		}
		for _, s := range l.set {
			if strings.ContainsAny(s.file, "/\x00\n") || strings.HasPrefix(s.file, "..") || s.file == "cgroup.procs" || s.file == "cgroup.threads" {
				t.Errorf("%s names the file %q", text, s.file)
			}
		}
	})
}
