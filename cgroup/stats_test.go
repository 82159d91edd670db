package cgroup

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

func TestStats(t *testing.T) {
	dir := filepath.Join(fakeTree(t, "/", "/c:").mount, "c")
	for name, text := range map[string]string{
		"cpu.stat":                  "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 4\nnr_throttled 3\nthrottled_usec 2",
		"cpu.pressure":              "some avg10=1.50 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.00 avg60=0.25 avg300=0.00 total=8",
		"memory.current":            "4096",
		"memory.max":                "8192",
		"memory.peak":               "5000",
		"memory.swap.current":       "100",
		"memory.swap.max":           "max",
		"memory.stat":               "anon 1\nfile 2",
		"memory.events":             "low 0\nmax 5\noom 1\noom_kill 1",
		"pids.current":              "3",
		"pids.max":                  "max",
		"io.stat":                   "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6",
		"hugetlb.2MB.current":       "1",
		"hugetlb.2MB.rsvd.current":  "2097152",
		"hugetlb.2MB.events":        "max 2",
		"hugetlb.2MB.events.local":  "max 2",
		"hugetlb.64KB.current":      "65536",
		"hugetlb.64KB.events":       "max 0",
		"hugetlb.64KB.rsvd.current": "",
	} {
		put(t, filepath.Join(dir, name), text+"\n")
	}
	g, err := openGroup(-1, dir, dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := g.Stats()
	if err != nil {
		t.Fatal(err)
	}
	got, _ := json.Marshal(s)
	const want = `{"cpu":{"usage":{"total":30000,"kernel":10000,"user":20000},"throttling":{"periods":4,"throttledPeriods":3,"throttledTime":2000},` +
		`"psi":{"some":{"avg10":1.5,"avg60":0,"avg300":0,"total":7},"full":{"avg10":0,"avg60":0.25,"avg300":0,"total":8}}},` +
		`"memory":{"cache":2,"usage":{"limit":8192,"usage":4096,"max":5000,"failcnt":5},"swap":{"limit":18446744073709551615,"usage":4196,"failcnt":0},"raw":{"anon":1,"file":2}},` +
		`"pids":{"current":3},` +
		`"blkio":{"ioServiceBytesRecursive":[{"major":8,"minor":16,"op":"Read","value":1},{"major":8,"minor":16,"op":"Write","value":2}],` +
		`"ioServicedRecursive":[{"major":8,"minor":16,"op":"Read","value":3},{"major":8,"minor":16,"op":"Write","value":4}]},` +
		`"hugetlb":{"2MB":{"usage":2097152,"failcnt":2},"64KB":{"usage":65536,"failcnt":0}}}`
	if string(got) != want {
		t.Errorf(" got %s\nwant %s", got, want)
	}
	if g.OOMKills() != 1 {
		t.Error("the OOM kill is not counted")
	}
}

// TestStatsCore: no controllers at all, as in a hybrid.
func TestStatsCore(t *testing.T) {
	dir := filepath.Join(fakeTree(t, "/", "/c:/ / 5").mount, "c")
	put(t, filepath.Join(dir, "cgroup.procs"), "5\n0\n9\n")
	g, err := openGroup(-1, dir, dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := g.Stats()
	if err != nil || s.Pids.Current != 2 || s.CPU.PSI != nil || s.Memory.Raw != nil {
		t.Errorf("%+v, %v", s, err)
	}
}
