package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/idmap"
)

// TestMain is rl in small: the inside of a namespace, and the child of a trial.
func TestMain(m *testing.M) {
	if os.Args[0] == "rl-enter" {
		os.Exit(enter.Main())
	}
	if len(os.Args) == 4 && os.Args[1] == Command && os.Args[2] == "--try" {
		os.Exit(Child(os.Args[3]))
	}
	os.Exit(m.Run())
}

// sick is a machine where every trial fails in its own way.
func sick(t *testing.T, files map[string]string) *Host {
	t.Helper()
	root := t.TempDir()
	h := &Host{Root: root, UID: os.Getuid(), Release: "6.1.0-9-amd64", Exe: "/opt/rl/bin/rl", DataDir: "/home/ann/.local/share/rl",
		Getenv: func(string) string { return "" },
		IDs:    idmap.Source{Root: root, As: &idmap.Caller{UID: 1000, GID: 1000, Bounding: true}},
		Try:    func(idmap.Map, uintptr, ...string) error { return errors.New("no trial in this test") },
		Output: func(argv ...string) (string, error) { return "", errors.New("no program in this test") },
	}
	put(t, h, map[string]string{"/proc/self/uid_map": "0 0 4294967295\n", "/proc/self/gid_map": "0 0 4294967295\n",
		"/etc/passwd": "root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\n", "/proc/self/ns/user": ""})
	put(t, h, files)
	return h
}

func put(t *testing.T, h *Host, files map[string]string) {
	t.Helper()
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(h.Root+path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(h.Root+path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// expect checks a result: its state, and words in its detail and its fix.
func expect(t *testing.T, r Result, state State, detail, fix string) {
	t.Helper()
	if r.State != state || !strings.Contains(r.Detail, detail) || !strings.Contains(r.Fix, fix) {
		t.Errorf("got %+v\nwant %s, %q, fix %q", r, state, detail, fix)
	}
	if r.State != OK && r.Fix == "" && fix != "" {
		t.Errorf("%+v: nothing to type", r)
	}
}

func TestKernel(t *testing.T) {
	for release, state := range map[string]State{
		"5.10.0-21-amd64": Broken, "4.18.0-513.el8.x86_64": Broken, "5.11.0": Degraded, "5.12.0": OK, "5.15-rc3+": OK,
		"6.18.44-fc-v669": OK, "10.0.1": OK, "nonsense": Broken,
	} {
		if r := kernel(&Host{Release: release}); r.State != state {
			t.Errorf("%s: %+v, want %s", release, r, state)
		}
	}
}

func TestUserNamespacesSaysWhichSwitch(t *testing.T) {
	tests := []struct{ path, text, detail, fix string }{
		{"/proc/sys/user/max_user_namespaces", "0\n", "user.max_user_namespaces is 0", "user.max_user_namespaces=15000"},
		{"/proc/sys/user/max_net_namespaces", "0\n", "user.max_net_namespaces is 0", "user.max_net_namespaces=15000"},
		{"/proc/sys/kernel/unprivileged_userns_clone", "0\n", "unprivileged_userns_clone is 0", "sysctl"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", "AppArmor", `profile rl "/opt/rl/bin/rl" flags=(unconfined)`},
		{"/proc/self/status", "Name:\trl\nSeccomp:\t2\n", "seccomp filter", "seccomp=unconfined"},
	}
	for _, tt := range tests {
		h := sick(t, map[string]string{tt.path: tt.text})
		h.UID = 1000
		expect(t, userNamespaces(h), Broken, tt.detail, tt.fix)
		h.Try = func(idmap.Map, uintptr, ...string) error { return nil }
		expect(t, userNamespaces(h), OK, "made one", "")
	}
}

func TestAppArmorProfileOfAnOddPath(t *testing.T) {
	if got := appArmorProfile(`/home/o'neil/rl`); strings.Contains(got, "apparmor_parser") {
		t.Errorf("a quote went into a shell command: %s", got)
	}
}

func TestSubordinateIDs(t *testing.T) {
	group := map[string]string{"/etc/subgid": "ann:100000:65536\n"}
	tests := []struct {
		subuid string
		state  State
		detail string
		fix    string
	}{
		{"ann:100000:65536\n", OK, "65536 in /etc/subuid; 65536 in /etc/subgid", ""},
		{"bob:300000:65536\n", Degraded, "no range for ann", "usermod --add-subuids 365536-431071"},
		{"ann:100000:1000\n", Degraded, "/etc/subuid has only 1000", "usermod"},
		{"ann:100000:65536\nbob:165535:10\n", Degraded, "/etc/subuid line 2 (bob:165535:10): shares ids with line 1", "sudoedit"},
		{"ann:100000:65536\nann:1:1:1\n", Degraded, "/etc/subuid line 2 (ann:1:1:1)", ""},
		{"ann:100000:65536\nbob:1:1:1\n", OK, "65536", ""},
		{"ann:0:65536\n", Degraded, "contains the account root (0)", "sudoedit"},
	}
	for _, tt := range tests {
		h := sick(t, group)
		h.UID = 1000
		put(t, h, map[string]string{"/etc/subuid": tt.subuid})
		expect(t, subordinateIDs(h), tt.state, tt.detail, tt.fix)
	}
}

func TestIDHelpersNamesThePackage(t *testing.T) {
	for release, fix := range map[string]string{
		"ID=debian\n": "apt-get install -y uidmap", "ID=fedora\n": "dnf install -y shadow-utils",
		"ID=rocky\nID_LIKE=\"rhel centos fedora\"\n": "dnf install -y shadow-utils", "ID=alpine\n": "apk add shadow-uidmap", "": "package uidmap",
	} {
		h := sick(t, map[string]string{"/etc/os-release": release})
		h.UID = 1000
		expect(t, idHelpers(h), Degraded, "newuidmap is not installed", fix)
	}
}

func TestIDMap(t *testing.T) {
	h := sick(t, nil)
	h.userns = true
	expect(t, idMap(h), Broken, "no trial", "")
	h.Try = func(idmap.Map, uintptr, ...string) error { return nil }
	h.IDs.Tools = &idmap.Helpers{UID: "/usr/bin/newuidmap", GID: "/usr/bin/newgidmap"}
	r := idMap(h)
	expect(t, r, Degraded, "0→1000 (single)", "usermod")
	if !strings.Contains(r.Action, "ownership are ignored") {
		t.Error(r.Action)
	}
}

func TestRoom(t *testing.T) {
	expect(t, room("/d", 20<<30, 1e6, 2e6), OK, "20 GiB free in /d, 1000000 inodes", "")
	expect(t, room("/d", 500<<20, 1e6, 2e6), Degraded, "500 MiB", "rl rmi")
	expect(t, room("/d", 20<<30, 50, 2e6), Broken, "50 inodes", "rl rmi")
	expect(t, room("/d", 0, 1e6, 2e6), Broken, "0 KiB", "rl rmi")
	expect(t, room("/btrfs", 20<<30, 0, 0), OK, "20 GiB", "") // btrfs counts no inodes
}

func TestDataDirectory(t *testing.T) {
	h := sick(t, nil)
	h.StoreErr = errors.New("HOME is not set")
	expect(t, dataDirectory(h), Broken, "HOME is not set", "")
	h.StoreErr = nil
	if err := os.MkdirAll(h.Root+h.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	expect(t, dataDirectory(h), OK, h.DataDir+" on ", "")
	os.Chmod(h.Root+h.DataDir, 0o777)
	expect(t, dataDirectory(h), Broken, "written by others", "chmod 700")
	h.UID++
	expect(t, dataDirectory(h), Broken, "belongs to uid", "chown")
}

func TestFileSystems(t *testing.T) {
	for magic, want := range map[int64]string{unix.NFS_SUPER_MAGIC: "nfs", unix.EXT4_SUPER_MAGIC: "ext4", unix.BTRFS_SUPER_MAGIC: "btrfs", 0x12345: "0x12345"} {
		if name, _ := fsName(magic); !strings.Contains(name, want) {
			t.Errorf("%#x: %s", magic, name)
		}
	}
	if _, trouble := fsName(unix.NFS_SUPER_MAGIC); trouble == "" {
		t.Error("nfs is fine?")
	}
}

func TestOverlayLadder(t *testing.T) {
	h := sick(t, nil)
	h.DataDir, h.userns = "/", true
	r := overlay(h)
	expect(t, r, Broken, "no trial", "fuse-overlayfs")
	put(t, h, map[string]string{"/usr/bin/fuse-overlayfs": "", "/dev/fuse": ""})
	r = overlay(h)
	expect(t, r, Degraded, "no trial", "XDG_DATA_HOME")
	if !strings.Contains(r.Action, "fuse-overlayfs serves") {
		t.Error(r.Action)
	}
	if left, _ := filepath.Glob(h.Root + "/.rl-doctor-*"); left != nil {
		t.Errorf("left behind: %v", left)
	}
	h.Try = func(idmap.Map, uintptr, ...string) error { return nil }
	expect(t, overlay(h), OK, "mounted one", "")
	os.Remove(h.Root + "/dev/fuse")
	expect(t, fuse(h), OK, "/dev/fuse: no such file", "")
	h.overlayWorks = false
	expect(t, fuse(h), Degraded, "/dev/fuse: no such file", "modprobe fuse")
}

func TestNetworkHelpers(t *testing.T) {
	h := sick(t, map[string]string{"/usr/bin/pasta": "", "/etc/os-release": "ID=debian\n"})
	h.Output = func(argv ...string) (string, error) {
		return map[string]string{"/usr/bin/pasta": "pasta 0.0~git20230309.7c7625d-1\nCopyright", "/usr/bin/slirp4netns": "slirp4netns version 1.2.0\ncommit: x"}[argv[0]], nil
	}
	r := slirp4netns(h)
	expect(t, r, Degraded, "slirp4netns is not installed", "apt-get install -y slirp4netns")
	if r.Action != "pasta makes the network" {
		t.Error(r.Action)
	}
	expect(t, pasta(h), OK, "/usr/bin/pasta 0.0~git20230309.7c7625d-1", "")
	put(t, h, map[string]string{"/usr/bin/slirp4netns": ""})
	expect(t, slirp4netns(h), OK, "/usr/bin/slirp4netns 1.2.0", "")
	os.Remove(h.Root + "/usr/bin/pasta")
	expect(t, pasta(h), OK, "not installed", "")
}

func TestCgroups(t *testing.T) {
	h := sick(t, map[string]string{"/sys/fs/cgroup/unified/cgroup.controllers": "hugetlb"})
	expect(t, cgroups(h), Degraded, "hybrid", "unified_cgroup_hierarchy=1")
	h = sick(t, nil)
	expect(t, cgroups(h), Degraded, "not mounted", "")
	h = sick(t, map[string]string{"/sys/fs/cgroup/cgroup.controllers": "cpu memory pids"})
	h.UID = 1000
	expect(t, cgroups(h), Degraded, "nothing delegated", "log in")
	service := "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/"
	put(t, h, map[string]string{service + "cgroup.controllers": "memory pids", service + "cgroup.procs": ""})
	expect(t, cgroups(h), Degraded, "missing: cpu", "Delegate=cpu")
	put(t, h, map[string]string{service + "cgroup.controllers": "cpuset cpu io memory pids"})
	expect(t, cgroups(h), OK, "delegated to you: cpuset cpu io memory pids", "")
}

func TestRuntimeDirectory(t *testing.T) {
	h := sick(t, nil)
	expect(t, runtimeDirectory(h), OK, "not set", "")
	h.Getenv = func(name string) string { return map[string]string{"XDG_RUNTIME_DIR": "/run/me"}[name] }
	expect(t, runtimeDirectory(h), Degraded, "no such file", "unset XDG_RUNTIME_DIR")
	put(t, h, map[string]string{"/run/me/x": ""})
	expect(t, runtimeDirectory(h), Degraded, "open to others", "unset")
	os.Chmod(h.Root+"/run/me", 0o700)
	expect(t, runtimeDirectory(h), OK, "/run/me", "")
	h.UID++
	expect(t, runtimeDirectory(h), Degraded, "belongs to uid", "unset")
	os.Symlink("me", h.Root+"/run/link")
	h.Getenv = func(string) string { return "/run/link" }
	expect(t, runtimeDirectory(h), Degraded, "is not a directory", "unset")
}

func TestSystemdSession(t *testing.T) {
	h := sick(t, nil)
	h.UID = 1000
	expect(t, systemdSession(h), OK, "doesn't run", "")
	put(t, h, map[string]string{"/run/systemd/system/x": ""})
	expect(t, systemdSession(h), Degraded, "/run/user/1000", "loginctl enable-linger ann")
	dir := h.Root + "/run/user/1000"
	os.MkdirAll(dir, 0o700)
	if err := syscall.Mknod(dir+"/bus", syscall.S_IFSOCK|0o600, 0); err != nil {
		t.Fatal(err)
	}
	expect(t, systemdSession(h), OK, "no linger", "")
	put(t, h, map[string]string{"/var/lib/systemd/linger/ann": ""})
	expect(t, systemdSession(h), OK, "linger is on", "")
}

func TestLogout(t *testing.T) {
	h := sick(t, map[string]string{"/proc/self/cgroup": "0::/system.slice/cron.service\n"})
	h.UID = 1000
	expect(t, logout(h), OK, "outside of any login", "")
	put(t, h, map[string]string{"/proc/self/cgroup": "0::/user.slice/user-1000.slice/session-3.scope\n", "/run/systemd/system/x": "",
		"/run/systemd/sessions/3": "USER=ann\n", "/etc/systemd/logind.conf": "[Login]\nKillUserProcesses=no\n"})
	expect(t, logout(h), OK, "stay when you log out", "")
	put(t, h, map[string]string{"/etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\n"})
	expect(t, logout(h), Degraded, "KillUserProcesses=yes", "loginctl enable-linger, then rl run -d --lifetime=user")
	put(t, h, map[string]string{"/proc/self/cgroup": "0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope\n"})
	expect(t, logout(h), Degraded, "with your last session", "loginctl enable-linger")
	put(t, h, map[string]string{"/var/lib/systemd/linger/ann": ""})
	expect(t, logout(h), OK, "stay when you log out", "")
}

func TestRegistries(t *testing.T) {
	h := sick(t, nil)
	expect(t, registries(h), OK, "no registries.conf", "")
	put(t, h, map[string]string{"/etc/containers/registries.conf": `
# a comment
unqualified-search-registries = [
  "docker.io", # the usual
  'quay.io'
]
[[registry]]
location = "registry.example.com:5000"
insecure = true
[[registry.mirror]]
location = "mirror.example.com"
insecure = false
`, "/etc/containers/registries.conf.d/50-local.conf": "[[registry]]\nprefix = \"*.local\"\nlocation=\"x\"\ninsecure=true\n"})
	r := registries(h)
	expect(t, r, Degraded, "short names: docker.io, quay.io; without checked TLS: registry.example.com:5000, *.local", "insecure = true")
	if strings.Contains(r.Detail, "mirror") || !strings.Contains(r.Detail, "50-local.conf") {
		t.Error(r.Detail)
	}
	h.Getenv = func(name string) string { return map[string]string{"CONTAINERS_REGISTRIES_CONF": "/mine.conf"}[name] }
	put(t, h, map[string]string{"/mine.conf": "unqualified-search-registries=[\"one.example\"]\n"})
	expect(t, registries(h), Degraded, "/mine.conf", "")
}

func TestRunReportsWhatRlSays(t *testing.T) {
	h := sick(t, nil)
	h.Output = func(argv ...string) (string, error) {
		return "", fmt.Errorf("rl: it went wrong\n  hint: type this (exit status 125)")
	}
	expect(t, runNone(h), Broken, "rl run --rm --network=none tiny true: rl: it went wrong", "type this")
	h.Output = func(argv ...string) (string, error) { return "rl: note: one user exists inside\n", nil }
	expect(t, runNetwork(h), Degraded, "rl run --rm tiny true: note: one user", "")
	h.Output = func(argv ...string) (string, error) { return "", nil }
	expect(t, runNetwork(h), OK, "done in", "")
}

func TestReport(t *testing.T) {
	results := []Result{{"a", OK, "d", "", ""}, {"b <&>", Broken, "bad\x1b[2J", "act", "type"}}
	var js bytes.Buffer
	if err := JSON(&js, results); err != nil {
		t.Fatal(err)
	}
	var back []map[string]string
	if err := json.Unmarshal(js.Bytes(), &back); err != nil || back[1]["fix"] != "type" || back[0]["state"] != "ok" || len(back[0]) != 5 {
		t.Errorf("%v %s", err, js.String())
	}
	var text bytes.Buffer
	for _, r := range results {
		Text(&text, r, false, false)
	}
	want := "ok        a                  d\nbroken    b <&>              bad\\x1b[2J → act\n                             fix: type\n"
	if text.String() != want {
		t.Errorf("got\n%swant\n%s", text.String(), want)
	}
	text.Reset()
	Text(&text, results[0], true, false)
	if !strings.HasPrefix(text.String(), "\x1b[32m✓\x1b[0m a ") {
		t.Errorf("%q", text.String())
	}
	if Works(results) || !Works(results[:1]) {
		t.Error("Works")
	}
}

// TestTrials makes real namespaces.
func TestTrials(t *testing.T) {
	h := Here(t.TempDir(), "", nil)
	if r := userNamespaces(h); r.State != OK {
		t.Skipf("no user namespace here: %+v", r)
	}
	expect(t, overlay(h), OK, "mounted one with userxattr", "")
	if left, _ := os.ReadDir(h.DataDir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if r := idMap(h); r.State == Broken {
		t.Errorf("%+v", r)
	}
	r := tun(h)
	if may := h.mayOpen("/dev/net/tun") == nil; may != (r.State == OK) {
		t.Errorf("device can be opened: %v; %+v", may, r)
	}
}

func TestTrialThatFails(t *testing.T) {
	h := Here(t.TempDir(), "", nil)
	if h.userns = h.Try(h.simple(), 0, "nothing") == nil; !h.userns {
		t.Skip("no user namespace here")
	}
	err := h.Try(h.simple(), 0, "overlay", "/nonexistent")
	if !errors.Is(err, syscall.ENOENT) || !strings.Contains(err.Error(), "chdir /nonexistent") {
		t.Errorf("error %v", err)
	}
	if err := h.Try(h.simple(), 0, "sing"); err == nil || !strings.Contains(err.Error(), `unknown trial "sing"`) {
		t.Errorf("error %v", err)
	}
}

func TestInfo(t *testing.T) {
	h := sick(t, map[string]string{"/usr/bin/pasta": "", "/etc/os-release": "PRETTY_NAME=\"Test 1\"\n", "/etc/subuid": "ann:100000:65536", "/etc/subgid": "ann:100000:65536"})
	h.UID, h.Store = 1000, "/home/ann/.local/share/containers/storage"
	h.IDs.Tools = &idmap.Helpers{UID: "/usr/bin/newuidmap", GID: "/usr/bin/newgidmap"}
	put(t, h, map[string]string{h.DataDir + "/containers/abc/record.json": "{}", h.Store + "/overlay-images/images.json": `[{"id":"a"}]`})
	i, err := h.Info("1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	if i.Store.Images != 1 || i.Store.Containers != 1 || !i.Host.Rootless || i.Host.MemTotal == 0 || i.Host.Network.Pasta != "/usr/bin/pasta" {
		t.Errorf("%+v", i)
	}
	var text bytes.Buffer
	if err := i.Text(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"version: 1.2.3 (go", "  distribution: Test 1\n", "  idMappings: uids 0→1000 1→100000+65536, gids 0→1000 1→100000+65536 (subid)\n", "  slirp4netns:\n", "  graphRoot: /home/ann/.local/share/containers/storage\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	js, err := json.Marshal(i)
	if err != nil || !strings.Contains(string(js), `"uidmap":[{"container_id":0,"host_id":1000,"size":1}`) {
		t.Errorf("%v %s", err, js)
	}
}
