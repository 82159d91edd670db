package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/oci"
	"github.com/rl-containers/rl/spec"
)

// fake is a runtime that only remembers what it was asked.
type fake struct {
	*oci.Runtime
	called string // the verb and its arguments
	create oci.CreateOptions
	exec   oci.ExecOptions
	limits *specs.LinuxResources
	states []oci.State
	pids   []int
	code   int
	err    error
}

func (f *fake) note(format string, args ...any) error {
	f.called = strings.TrimSpace(f.called + " " + fmt.Sprintf(format, args...))
	return f.err
}

func (f *fake) Create(o oci.CreateOptions) error {
	f.create = o
	return f.note("create %s", o.ID)
}

func (f *fake) Run(o oci.CreateOptions, detach, keep bool) (int, error) {
	f.create = o
	return f.code, f.note("run %s %v %v", o.ID, detach, keep)
}

func (f *fake) Exec(o oci.ExecOptions) (int, error) {
	f.exec = o
	return f.code, f.note("exec %s", o.ID)
}

func (f *fake) Update(id string, r *specs.LinuxResources) error {
	f.limits = r
	return f.note("update %s", id)
}

func (f *fake) State(id string) (*oci.State, error) {
	for i := range f.states {
		if f.states[i].ID == id {
			return &f.states[i], f.err
		}
	}
	return nil, errors.New("container does not exist")
}

func (f *fake) Kill(id string, sig syscall.Signal, all bool) error {
	return f.note("kill %s %d %v", id, sig, all)
}

func (f *fake) Delete(id string, force bool) error { return f.note("delete %s %v", id, force) }
func (f *fake) Start(id string) error              { return f.note("start %s", id) }
func (f *fake) Pause(id string) error              { return f.note("pause %s", id) }
func (f *fake) Resume(id string) error             { return f.note("resume %s", id) }
func (f *fake) List() ([]oci.State, error)         { return f.states, f.err }
func (f *fake) Ps(id string) ([]int, error)        { return f.pids, f.note("ps %s", id) }
func (f *fake) Stats(id string) (any, error)       { return map[string]int{"n": 1}, f.note("stats %s", id) }
func state(id string, s specs.ContainerState) oci.State {
	return oci.State{State: specs.State{Version: "1.3.0", ID: id, Status: s, Bundle: "/b\x1b[2J", Pid: map[bool]int{true: 7}[s == "running"]},
		Rootfs: "/b/r", Created: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Owner: "me"}
}

// result is what a call left.
type result struct {
	out, stderr string
	err         error
	code        int
}

// call is what main does with the arguments, with f instead of package oci.
func call(t *testing.T, f *fake, stdin string, args ...string) result {
	t.Helper()
	var out, stderr bytes.Buffer
	c := &ociCall{log: ociLog{stderr: &stderr}, in: strings.NewReader(stdin), out: &out, failure: 1,
		open: func(r *oci.Runtime) ociRuntime { f.Runtime = r; return f }}
	err := c.finish(c.do(args))
	var exit *hint.Exit
	r := result{out: out.String(), stderr: stderr.String(), err: err}
	if errors.As(err, &exit) {
		r.code = exit.Code
	}
	return r
}

// TestOCIWords: the command lines of podman, containerd and by hand.
func TestOCIWords(t *testing.T) {
	t.Chdir(t.TempDir())
	for line, want := range map[string]string{
		"start c":                             "start c",
		"--root /r --log-format json start c": "start c",
		"--log=l --log-format=json --debug --root=/r start c":    "start c",
		"create --bundle /b --pid-file /p --console-socket /s c": "create c",
		"create c --bundle /b":                                   "create c",
		"create -b /b -f x.json --preserve-fds 2 --no-pivot c":   "create c",
		"run -d --keep c":           "run c true true",
		"run c --no-subreaper":      "run c false false",
		"kill c":                    "kill c 15 false",
		"kill c 9":                  "kill c 9 false",
		"kill c SIGKILL":            "kill c 9 false",
		"kill --all c hup":          "kill c 1 true",
		"kill c KILL -a":            "kill c 9 true",
		"delete --force c":          "delete c true",
		"delete c":                  "delete c false",
		"delete -f c":               "delete c true",
		"pause c":                   "pause c",
		"resume c":                  "resume c",
		"ps --format json c":        "ps c",
		"events --stats r1":         "stats r1",
		"kill --regex ^r[12]$ KILL": "kill r1 9 false kill r2 9 false",
		"delete -f -r ^[rs]":        "delete r1 true delete r2 true delete s1 true",
		"update --memory 64m c":     "update c",
		"exec -d c ls":              "exec c",
		"exec -- c ls":              "exec c",
		"--rootless auto --systemd-cgroup --cgroup-manager=cgroupfs start c": "start c",
	} {
		f := &fake{states: []oci.State{state("r1", "running"), state("r2", "running"), state("s1", "stopped")}}
		if r := call(t, f, "", strings.Fields(line)...); r.err != nil || f.called != want {
			t.Errorf("%s: called %q, want %q; %s", line, f.called, want, r.stderr)
		}
	}
}

func TestOCIGlobals(t *testing.T) {
	t.Chdir("/usr")
	for _, test := range []struct{ line, root, manager string }{
		{"", "", ""},
		{"--root /a/../b", "/b", ""},
		{"--root=state", "/usr/state", ""},
		{"--systemd-cgroup", "", "systemd"},
		{"--systemd-cgroup --cgroup-manager disabled", "", "disabled"},
		{"--cgroup-manager=cgroupfs --systemd-cgroup=true", "", "systemd"},
		{"--systemd-cgroup=false", "", ""},
		{"--rootless=true --rootless auto", "", ""},
	} {
		f := &fake{}
		r := call(t, f, "", append(strings.Fields(test.line), "start", "c")...)
		if r.err != nil || f.Root != test.root || f.CgroupManager != test.manager {
			t.Errorf("%s: root %q, cgroup manager %q; %s", test.line, f.Root, f.CgroupManager, r.stderr)
		}
	}
}

func TestOCIRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	file(t, "process.json", `{"args":["true"],"cwd":"/"}`)
	file(t, "bad.json", `{"args":`)
	file(t, "huge.json", `{"args":["`+strings.Repeat("x", maxJSON)+`"]}`)
	for line, want := range map[string]string{
		"":                                   "no command",
		"frob":                               `unknown command "frob"`,
		"--frob start c":                     "not defined: -frob",
		"--root / start c":                   "it can't be /",
		"--root= start c":                    "it can't be /",
		"--log-format xml start c":           "text and json",
		"--log journald:x start c":           "journald is not supported",
		"--log /nonexistent/log start c":     "no such file",
		"--cgroup-manager v1 start c":        "cgroupfs, systemd and disabled",
		"--rootless maybe start c":           "true, false and auto",
		"start":                              `expected "<container>"`,
		"start a b":                          "unexpected argument b",
		"start --frob a":                     "unknown flag --frob",
		"exec --frob c ls":                   "unknown flag --frob",
		"exec":                               "CONTAINER is missing",
		"exec c":                             "exec args cannot be empty",
		"exec --no-new-privs=false c ls":     "takes nothing away",
		"exec --cgroup cpu:/x c ls":          "is for cgroup v1",
		"exec --cgroup x --cgroup y c ls":    "one cgroup",
		"exec --process process.json c ls":   "command ls: the file of --process says it",
		"exec --process process.json -u 1 c": "--user: the file",
		"exec --process bad.json c":          "unexpected end of JSON",
		"exec --process huge.json c":         "more than",
		"exec --process none.json c":         "no such file",
		"exec --preserve-fds -1 c ls":        "preserve-fds",
		"exec --additional-gids -1 c ls":     "additional-gids",
		"create --pidfd-socket s c":          "--pidfd-socket: not supported",
		"exec --pidfd-socket s c ls":         "--pidfd-socket: not supported",
		"ps":                                 "CONTAINER is missing",
		"list --format xml":                  "must be one of",
		"kill c NOSUCH":                      `unknown signal "NOSUCH"`,
		"kill c 65":                          "signal 65",
		"kill c 9 x":                         "unexpected argument x",
		"kill --regex ( KILL":                "missing closing",
		"events c":                           "does not exist",
		"events --interval 0 r":              "more than 0",
		"events s":                           "is not running",
		"update c":                           "no limit is named",
		"update --memory 5q c":               "invalid",
		"update --kernel-memory 5m c":        "not supported",
		"update --l3-cache-schema L3:0=1 c":  "not supported",
		"update --resources - --memory 5m c": "goes with no other",
		"update --resources bad.json c":      "unexpected end of JSON",
		"checkpoint --image-path x c":        "checkpoint: not supported",
		"restore c":                          "restore: not supported",
		"state c":                            "does not exist",
	} {
		f := &fake{states: []oci.State{state("r", "running"), state("s", "stopped")}}
		r := call(t, f, "", strings.Fields(line)...)
		if r.code == 0 || !strings.Contains(r.stderr, want) || f.called != "" {
			t.Errorf("%s: exit code %d, called %q, said %q; want %q", line, r.code, f.called, r.stderr, want)
		}
	}
}

func file(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOCICreateOptions(t *testing.T) {
	f := &fake{}
	call(t, f, "", "create", "--bundle", "/b", "-f", "other.json", "--console-socket=/s", "--pid-file", "/p", "--preserve-fds=3", "--no-pivot", "--no-new-keyring", "c")
	want := oci.CreateOptions{ID: "c", Bundle: "/b", Config: "other.json", ConsoleSocket: "/s", PidFile: "/p", PreserveFds: 3, NoPivot: true, NoNewKeyring: true}
	if f.create != want {
		t.Errorf("%+v, want %+v", f.create, want)
	}
}

func TestOCIExecOptions(t *testing.T) {
	t.Chdir(t.TempDir())
	file(t, "process.json", `{"args":["true"],"cwd":"/","user":{"uid":5},"unknown":1}`)
	for line, want := range map[string]oci.ExecOptions{
		"-t -e A=b,c -e D= --env=E=-x --cwd /w -u 1:2 -g 3 -g 4 -c CAP_KILL -c CAP_CHOWN --no-new-privs c ls -la -- --tty": {
			ID: "c", Args: []string{"ls", "-la", "--", "--tty"}, Cwd: "/w", Env: []string{"A=b,c", "D=", "E=-x"}, TTY: true, User: "1:2",
			AdditionalGids: []uint32{3, 4}, Caps: []string{"CAP_KILL", "CAP_CHOWN"}, NoNewPrivs: true},
		"--apparmor a --process-label l --preserve-fds 1 --cgroup sub --ignore-paused --tty=false c -x": {
			ID: "c", Args: []string{"-x"}, Apparmor: "a", ProcessLabel: "l", PreserveFds: 1, Cgroup: "sub", IgnorePaused: true},
		"--pid-file /p --process process.json --tty --console-socket /s --detach c": {
			ID: "c", Args: []string{}, TTY: true, Detach: true, PidFile: "/p", ConsoleSocket: "/s",
			Process: &specs.Process{Args: []string{"true"}, Cwd: "/", User: specs.User{UID: 5}, Terminal: true}},
	} {
		f := &fake{}
		r := call(t, f, "", append([]string{"exec"}, strings.Fields(line)...)...)
		if r.err != nil || !reflect.DeepEqual(f.exec, want) {
			t.Errorf("exec %s:\n%+v, want\n%+v; %s", line, f.exec, want, r.stderr)
		}
	}
}

func TestOCIUpdate(t *testing.T) {
	for line, want := range map[string]string{
		"--memory 64m --memory-swap -1 --memory-reservation=1048576":                                                  `{"memory":{"limit":67108864,"reservation":1048576,"swap":-1}}`,
		"--cpu-quota -1 --cpu-period 1000 --cpu-share 2 --cpu-burst 3 --cpu-idle 1 --cpuset-cpus 0-1 --cpuset-mems 0": `{"cpu":{"shares":2,"quota":-1,"burst":3,"period":1000,"cpus":"0-1","mems":"0","idle":1}}`,
		"--pids-limit -1 --blkio-weight 500":                                                                          `{"pids":{"limit":-1},"blockIO":{"weight":500}}`,
		"--cpu-rt-period 5 --cpu-rt-runtime 6":                                                                        `{"cpu":{"realtimeRuntime":6,"realtimePeriod":5}}`,
		"--resources -":                                                                                               `{"memory":{"limit":5},"unified":{"memory.high":"7"}}`,
	} {
		f := &fake{}
		r := call(t, f, `{"memory":{"limit":5},"unified":{"memory.high":"7"}}`, append(append([]string{"update"}, strings.Fields(line)...), "c")...)
		got, _ := json.Marshal(f.limits)
		if r.err != nil || string(got) != want {
			t.Errorf("update %s: %s, want %s; %s", line, got, want, r.stderr)
		}
	}
}

// TestOCIExitCode: the program's, 255 for an exec that failed, else 1.
func TestOCIExitCode(t *testing.T) {
	for _, test := range []struct {
		line string
		f    fake
		want int
	}{
		{"run c", fake{code: 42}, 42},
		{"run c", fake{}, 0},
		{"run c", fake{err: errors.New("no")}, 1},
		{"exec c false", fake{code: 1}, 1},
		{"exec c sh", fake{code: 137}, 137},
		{"exec c sh", fake{err: errors.New("no")}, 255},
		{"exec c sh", fake{err: &hint.Exit{Code: 127, Err: errors.New("no")}}, 255},
		{"exec --frob c sh", fake{}, 1},
		{"create c", fake{err: &hint.Exit{Code: 127, Err: errors.New("no")}}, 1},
	} {
		r := call(t, &test.f, "", strings.Fields(test.line)...)
		if r.code != test.want || test.f.err != nil && r.stderr != "rl-oci: no\n" {
			t.Errorf("%s: %d, want %d; said %q", test.line, r.code, test.want, r.stderr)
		}
	}
}

// TestOCILog: exactly one object an error, for engines; one line on stderr, for people.
func TestOCILog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	bad := hint.Errorf("do\nthat", "it \"broke\"\x1b")
	r := call(t, &fake{err: bad}, "", "--log", log, "--log-format", "json", "create", "c")
	if r.stderr != "rl-oci: it \"broke\"\\x1b\n  hint: do\\x0athat\n" || r.out != "" {
		t.Errorf("stderr %q, stdout %q", r.stderr, r.out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var entry map[string]string
	if err := json.Unmarshal(text, &entry); err != nil || bytes.Count(text, []byte("\n")) != 1 {
		t.Fatalf("%q: %v", text, err)
	}
	if _, err := time.Parse(time.RFC3339, entry["time"]); err != nil || entry["level"] != "error" || entry["msg"] != "it \"broke\"\x1b (do\nthat)" || len(entry) != 3 {
		t.Errorf("%q: %v", text, err)
	}

	// Text, and after what is there already.
	call(t, &fake{err: bad}, "", "--log=file:"+log, "create", "c")
	text, _ = os.ReadFile(log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[1], `time="`) || !strings.Contains(lines[1], ` level=error msg="it \"broke\"\x1b (do\nthat)"`) {
		t.Errorf("%q", lines)
	}
}

// TestOCILogStderr: without --log stderr is the log.
func TestOCILogStderr(t *testing.T) {
	r := call(t, &fake{err: errors.New("no")}, "", "--log-format=json", "start", "c")
	var entry map[string]string
	if err := json.Unmarshal([]byte(r.stderr), &entry); err != nil || entry["msg"] != "no" || entry["level"] != "error" {
		t.Errorf("%q: %v", r.stderr, err)
	}
	// A flag that is wrong, too, goes to the log that was named before it.
	log := filepath.Join(t.TempDir(), "log")
	call(t, &fake{}, "", "--log", log, "--frob")
	if text, _ := os.ReadFile(log); !strings.Contains(string(text), "level=error") {
		t.Errorf("%q", text)
	}
}

func TestOCISay(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	for _, test := range []struct{ line, log, stderr string }{
		{"", "", "rl-oci: warning: cpu shares dropped\n"},
		{"--log L", `level=warning msg="cpu shares dropped"`, ""},
		{"--log L --log-format json", `{"msg":"cpu shares dropped","level":"warning","time":`, ""},
		{"--log L --log-level error", "", ""},
		{"--log L --debug", "level=debug", ""},
		{"--debug", "", "rl-oci: warning: cpu shares dropped\n"},
	} {
		os.Remove(log)
		f := &fake{}
		r := call(t, f, "", append(strings.Fields(strings.ReplaceAll(test.line, "L", log)), "start", "c")...)
		if r.stderr != "" {
			t.Errorf("%s: %q", test.line, r.stderr)
		}
		var late bytes.Buffer
		c := &ociCall{log: ociLog{stderr: &late}, open: func(r *oci.Runtime) ociRuntime { r.Say("cpu shares dropped"); return f }}
		c.do(append(strings.Fields(strings.ReplaceAll(test.line, "L", log)), "start", "c"))
		text, _ := os.ReadFile(log)
		if late.String() != test.stderr || !strings.Contains(string(text), test.log) || test.log == "" && len(text) > 0 {
			t.Errorf("%s: stderr %q, log %q", test.line, late.String(), text)
		}
	}
}

func TestOCIState(t *testing.T) {
	f := &fake{states: []oci.State{state("a", "running"), state("b", "stopped")}}
	want := `{
  "ociVersion": "1.3.0",
  "id": "b",
  "pid": 0,
  "status": "stopped",
  "bundle": "/b\u001b[2J",
  "rootfs": "/b/r",
  "created": "2026-01-02T03:04:05.000000006Z",
  "owner": "me"
}
`
	if r := call(t, f, "", "state", "b"); r.out != want || r.stderr != "" {
		t.Errorf("%s%s", r.out, r.stderr)
	}
	r := call(t, f, "", "list", "--format", "json")
	if !strings.HasPrefix(r.out, `[{"ociVersion":"1.3.0","id":"a","pid":7,"status":"running","bundle":"`) || strings.Count(r.out, "\n") != 1 {
		t.Error(r.out)
	}
	r = call(t, f, "", "list")
	if lines := strings.Split(r.out, "\n"); !strings.HasPrefix(lines[0], "ID          PID         STATUS      BUNDLE") || strings.Join(strings.Fields(lines[1]), " ") != `a 7 running /b\x1b[2J 2026-01-02T03:04:05.000000006Z me` {
		t.Error(r.out)
	}
	if r := call(t, f, "", "list", "-q"); r.out != "a\nb\n" {
		t.Error(r.out)
	}
	if r := call(t, &fake{}, "", "list", "-f", "json"); r.out != "null\n" {
		t.Error(r.out)
	}
	if r := call(t, f, "", "events", "--stats", "a"); r.out != `{"type":"stats","id":"a","data":{"n":1}}`+"\n" {
		t.Error(r.out)
	}
}

func TestOCIPs(t *testing.T) {
	f := &fake{pids: []int{os.Getpid()}}
	if r := call(t, f, "", "ps", "-f", "json", "c"); r.out != fmt.Sprintf("[%d]\n", os.Getpid()) {
		t.Error(r.out)
	}
	if r := call(t, &fake{}, "", "ps", "-f", "json", "c"); r.out != "[]\n" {
		t.Error(r.out)
	}
	table := "USER   PID CMD\nme      7  a\nme     70  b PID\n\nme    700  c\n"
	lines, err := linesOf(table, []int{7, 700})
	if err != nil || strings.Join(lines, "|") != "USER   PID CMD|me      7  a|me    700  c" {
		t.Errorf("%q: %v", lines, err)
	}
	if _, err := linesOf("CMD\na\n", nil); err == nil {
		t.Error("a table without pids")
	}
}

// TestOCIRegexGoesOn: one that fails doesn't save the others.
func TestOCIRegexGoesOn(t *testing.T) {
	f := &fake{states: []oci.State{state("a", "running"), state("b", "stopped"), state("c", "running")}}
	c := &ociCall{runtime: f}
	err := c.each("[ac]", func(s oci.State) error { f.note("%s", s.ID); return errors.New("no") })
	if f.called != "a c" || err == nil || err.Error() != "a: no; c: no" {
		t.Errorf("%q, %v", f.called, err)
	}
}

func TestOCISignals(t *testing.T) {
	for word, want := range map[string]syscall.Signal{"15": 15, "0": 0, "64": 64, "TERM": 15, "term": 15, "SIGTERM": 15, "sigkill": 9, "USR1": 10,
		"WINCH": 28, "CLD": 17, "RTMIN": 34, "SIGRTMIN+3": 37, "RTMIN+30": 64, "RTMAX": 64, "rtmax-1": 63} {
		if got, err := spec.Signal(word); err != nil || got != want {
			t.Errorf("%s: %d, want %d; %v", word, got, want, err)
		}
	}
	for _, word := range []string{"", "-1", "65", "SIG", "SIGSIGTERM", "TERM ", "RTMIN+31", "RTMIN-1", "RTMAX+1", "RTMINx", "RTMIN3", strings.Repeat("9", 40)} {
		if got, err := spec.Signal(word); err == nil {
			t.Errorf("%q: %d", word, got)
		}
	}
}

func TestOCISpec(t *testing.T) {
	dir := t.TempDir()
	if r := call(t, &fake{}, "", "spec", "--rootless", "--bundle", dir); r.err != nil || r.out+r.stderr != "" {
		t.Fatal(r)
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil || !strings.HasPrefix(string(text), "{\n\t\"ociVersion\": ") {
		t.Errorf("%s: %v", text, err)
	}
	if r := call(t, &fake{}, "", "spec", "-b", dir); r.code != 1 || !strings.Contains(r.stderr, "exists") {
		t.Error(r)
	}
	if again, _ := os.ReadFile(filepath.Join(dir, "config.json")); string(again) != string(text) {
		t.Error("it was overwritten")
	}
	if r := call(t, &fake{}, "", "spec", "-b", dir, "-f", "config.json"); r.err != nil {
		t.Error(r)
	}
}

func TestOCIShows(t *testing.T) {
	for line, want := range map[string]string{
		"--help":    "Usage: rl-oci",
		"-v":        "rl-oci version ",
		"--version": "\nspec: 1.",
		"features":  "{\n    \"ociVersionMin\": \"1.0.0\",",
	} {
		if r := call(t, &fake{}, "", strings.Fields(line)...); r.err != nil || !strings.Contains(r.out, want) || r.stderr != "" {
			t.Errorf("%s: %+v", line, r)
		}
	}
}

// TestOCIPage: the page has all verbs and flags, the completion all verbs.
func TestOCIPage(t *testing.T) {
	page, err := ociPage("x")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range ociVerbs() {
		if !strings.Contains(page, "\n.SS "+v.name+" ") && !strings.Contains(page, "\n.SS "+v.name+"\n") {
			t.Errorf("%s is missing", v.name)
		}
		if !strings.Contains(strings.Join(ociWords(), " "), v.name) {
			t.Errorf("completion: %s is missing", v.name)
		}
	}
	for _, flag := range []string{`\-\-cgroup\-manager`, `\-\-preserve\-fds`, `\-\-ignore\-paused`, `\-\-memory\-swap`} {
		if !strings.Contains(page, flag) {
			t.Errorf("%s is missing", flag)
		}
	}
}

func TestOCINames(t *testing.T) {
	for name, want := range map[string]bool{"rl": false, "/usr/bin/rl": false, "rl-oci": true, "/x/rl-oci": true, "runc": true, "/x/crun": true, "rl-enter": false} {
		if isEngine(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func BenchmarkOCICreate(b *testing.B) {
	for b.Loop() {
		c := &ociCall{open: func(*oci.Runtime) ociRuntime { return &fake{} }}
		if err := c.do([]string{"--log-format=json", "create", "--bundle", "/b", "--pid-file", "/p", "c"}); err != nil {
			b.Fatal(err)
		}
	}
}
