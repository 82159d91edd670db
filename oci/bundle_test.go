package oci

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/plan"
)

// FuzzParse: whatever stands in a config.json, it is refused, or a plan comes of it.
func FuzzParse(f *testing.F) {
	good, err := json.Marshal(Spec(true))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(good))
	for _, edit := range [][2]string{
		{`"type":"mount"`, `"type":"mount","path":"/proc/1/ns/mnt"`}, {`"options":[`, `"options":["rro","idmap","x=","=",`},
		{`"destination":"/dev"`, `"destination":"../.."`}, {`"cwd":"/"`, `"cwd":"\u0000"`}, {`"soft":1024`, `"soft":-1`},
		{`"linux":{`, `"linux":{"devices":[{"path":"","type":"q","major":-1}],"sysctl":{"net/../x":"1"},`},
		{`"linux":{`, `"linux":{"memoryPolicy":{"mode":"MPOL_BIND","nodes":"9-1"},`},
	} {
		f.Add(strings.Replace(string(good), edit[0], edit[1], 1))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse([]byte(text))
		if err != nil {
			return
		}
		p, err := plan.Compile(s, idmap.Map{}, plan.Options{Exact: true, Bundle: "/b"})
		if err != nil {
			return
		}
		memoryPolicyOf([]byte(text))
		if err := complete(&p.Process, s.Process, s, false); err != nil {
			return
		}
		for _, m := range p.Mounts {
			if !strings.HasPrefix(m.Target, "/") && m.Target != "" {
				t.Errorf("mount on %q", m.Target)
			}
		}
	})
}

func TestCheckID(t *testing.T) {
	for id, want := range map[string]bool{"a": true, "A-b_c.d+1": true, strings.Repeat("x", 255): true, strings.Repeat("x", 256): false,
		"": false, ".": false, "..": false, ".x": false, "a/b": false, "a b": false, "ä": false, "a\n": false} {
		if err := checkID(id); (err == nil) != want {
			t.Errorf("checkID(%q) = %v", id, err)
		}
	}
}

func TestNumbers(t *testing.T) {
	for list, want := range map[string]int{"": 0, "0": 1, "0-3,7": 5, "0, 1": 2} {
		if got, err := numbers(list); err != nil || len(got) != want {
			t.Errorf("numbers(%q) = %v, %v", list, got, err)
		}
	}
	for _, list := range []string{"x", "3-1", "-1", "1-", "0-9999999"} {
		if got, err := numbers(list); err == nil {
			t.Errorf("numbers(%q) = %v", list, got)
		}
	}
}

func TestOverride(t *testing.T) {
	got := strings.Join(environment([]string{"A=1", "HOME=", "B=2", "A=3"}), " ")
	if got != "B=2 A=3" {
		t.Errorf("environment: %s", got)
	}
}
