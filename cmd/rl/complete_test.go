package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/spec"
)

func offered(line string) string {
	words := split(line)[1:]
	o := next(words[:len(words)-1], words[len(words)-1])
	var all []string
	for _, c := range o.choices {
		if strings.HasPrefix(c.word, words[len(words)-1]) {
			all = append(all, c.word)
		}
	}
	return strings.TrimSpace(strings.Join(all, " ") + " " + o.files)
}

func TestComplete(t *testing.T) {
	for line, want := range map[string]string{
		"rl res":                         "restart",
		"rl -":                           "--help --version --log-level --debug",
		"rl --log-level in":              "info",
		"rl --log-level info -D pau":     "pause",
		"rl volume ins":                  "inspect",
		"rl container ls --fo":           "--format",
		"rl help vol":                    "volume",
		"rl help volume ins":             "inspect",
		"rl nothing ":                    "files",
		"rl run --no-s":                  "--no-sig-proxy",
		"rl run -itl ":                   "",
		"rl run --net=pas":               "--net=pasta",
		"rl run -e A --pull n":           "never newer",
		"rl run --env-file ":             "files",
		"rl run --workdir ":              "",
		"rl run tiny --pu":               "files",
		"rl run -- --pu":                 "",
		"rl ps --filter until":           "until=",
		"rl ps --filter status=r":        "status=running status=restarting",
		"rl ps --filter=health=un":       "--filter=health=unhealthy",
		"rl images --sort ":              "created id repository size tag",
		"rl ps --sort s":                 "size status",
		"rl images -f dangling=":         "dangling=true dangling=false",
		"rl volume create --driver ":     "",
		"rl create --health-on-failure ": "none kill restart stop",
		"rl kill -s US":                  "USR1 USR2",
		"rl kill --signal=US":            "--signal=USR1 --signal=USR2",
		"rl stop -t -":                   "",
		"rl version -f ":                 "json",
		"rl man x ":                      "",
		"rl oci sta":                     "state start",
		"rl info x ":                     "",
	} {
		got := strings.Split(offered(line), " ")
		wanted := strings.Split(want, " ")
		slices.Sort(got)
		slices.Sort(wanted)
		if !slices.Equal(got, wanted) {
			t.Errorf("%s: %q, want %q", line, got, wanted)
		}
	}
}

// TestCompleteValues: what is offered for a flag is what its help says, or what the parser takes.
func TestCompleteValues(t *testing.T) {
	list, err := tree()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, w := range list {
		for _, f := range w.model.Flags {
			for _, value := range known(f.Name) {
				if strings.Contains(f.PlaceHolder, "|") {
					break
				}
				tried++
				if !takes(f, value) {
					t.Errorf("%s --%s %s: neither in its help nor taken", w.verb.name, f.Name, value)
				}
			}
		}
	}
	if tried < 50 {
		t.Errorf("only %d values were tried", tried)
	}
}

// TestCompleteFilters: the values that are offered for filters of ps are taken.
func TestCompleteFilters(t *testing.T) {
	for _, key := range []string{"status", "health", "restart-policy", "should-start-on-boot"} {
		for _, c := range filterValues("ps", key) {
			if _, err := container.Filter(nil, []string{c.word}); err != nil {
				t.Error(err)
			}
		}
	}
	if _, err := container.Filter(nil, []string{"status=nonsense"}); err == nil {
		t.Error("Filter takes anything")
	}
}

func takes(f *kong.Flag, value string) bool {
	switch f.Name {
	case "signal", "stop-signal":
		_, err := spec.Signal(value)
		return err == nil
	case "log-level":
		_, err := hint.ParseLevel(value)
		return err == nil
	case "cap-add", "cap-drop", "pid", "uts", "ipc", "network":
		o := spec.Options{Args: []string{"true"}}
		value = strings.Replace(value, "container:", "container:x", 1)
		switch f.Name {
		case "cap-add":
			o.CapAdd = []string{value}
		case "cap-drop":
			o.CapDrop = []string{value}
		case "pid":
			o.PID = value
		case "uts":
			o.UTS = value
		case "ipc":
			o.IPC = value
		case "network":
			return value == "container:x" || strings.Contains(f.Help, value)
		}
		_, err := spec.FromImage(spec.Image{}, o)
		return err == nil
	}
	return strings.Contains(f.Help+f.PlaceHolder, value)
}

func TestCompleteSafe(t *testing.T) {
	for word, want := range map[string]bool{"docker.io/library/a:1": true, "x@sha256:00": true, "--name": true, "": false, "a b": false,
		"$(id)": false, "a;b": false, "a\n": false, "é": false, "`x`": false, "'": false} {
		if safe(word) != want {
			t.Errorf("%q: %v", word, !want)
		}
	}
}

func TestSplit(t *testing.T) {
	for line, want := range map[string][]string{
		"rl run":             {"rl", "run"},
		"rl  run ":           {"rl", "run", ""},
		`rl -e "A=b c" x`:    {"rl", "-e", "A=b c", "x"},
		`rl -e 'A="b\' x\ y`: {"rl", "-e", `A="b\`, "x y"},
		`rl "" 'op en`:       {"rl", "", "op en"},
		"":                   {""},
	} {
		if got := split(line); !slices.Equal(got, want) {
			t.Errorf("%s: %q", line, got)
		}
	}
}
