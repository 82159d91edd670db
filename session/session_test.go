package session

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// machine is a Host with these files.
func machine(t *testing.T, files map[string]string) *Host {
	h := &Host{Root: t.TempDir(), UID: 1000, Getenv: func(string) string { return "" }}
	if _, ok := files["/etc/passwd"]; !ok {
		files["/etc/passwd"] = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n"
	}
	for path, text := range files {
		if err := os.MkdirAll(filepath.Dir(h.Root+path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(h.Root+path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestPlaceOf(t *testing.T) {
	for text, want := range map[string]Place{
		"0::/user.slice/user-1000.slice/session-3.scope\n":                        {Session, "3"},
		"0::/user.slice/user-1000.slice/session-c2.scope/below\n":                 {Session, "c2"},
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/rl-x.scope\n": {Kind: Manager},
		"/user.slice/user-1000.slice/user@1000.service/app.slice/rl-x.scope":      {Kind: Manager},
		"0::/system.slice/cron.service\n":                                         {},
		"0::/\n":                                                                  {},
		"":                                                                        {},
		"9:name=systemd:/user.slice/user-1000.slice/session-7.scope\n8:pids:/session-1.scope\n": {Session, "7"},
		"8:pids:/user.slice/session-1.scope\n9:name=systemd:/\n0::/\n":                          {},
		"0::/user.slice/session-.scopes\n":                                                      {},
	} {
		if got := PlaceOf(text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func TestDoomOfManager(t *testing.T) {
	h := machine(t, map[string]string{})
	if why, fix := h.Doom(Place{Kind: Manager}); why == "" || fix != "loginctl enable-linger" {
		t.Errorf("%q %q", why, fix)
	}
	h = machine(t, map[string]string{"/var/lib/systemd/linger/ann": ""})
	if why, _ := h.Doom(Place{Kind: Manager}); why != "" {
		t.Errorf("she lingers: %q", why)
	}
}

func TestDoomOfSession(t *testing.T) {
	const main, drop = "/etc/systemd/logind.conf", "/etc/systemd/logind.conf.d/"
	for name, c := range map[string]struct {
		files map[string]string
		doom  bool
	}{
		"no file: as the manual says": {map[string]string{}, true},
		"built in":                    {map[string]string{main: "[Login]\n#KillUserProcesses=no\n"}, false},
		"built in, newer place":       {map[string]string{"/usr/lib/systemd/logind.conf": "[Login]\n#KillUserProcesses=no\n"}, false},
		"switched on":                 {map[string]string{main: "[Login]\n#KillUserProcesses=no\nKillUserProcesses=yes\n"}, true},
		"drop-in":                     {map[string]string{main: "[Login]\n#KillUserProcesses=no\n", drop + "a.conf": "[Login]\nKillUserProcesses = true\n"}, true},
		"of two the later name":       {map[string]string{drop + "a.conf": "[Login]\nKillUserProcesses=1\n", "/usr/lib/systemd/logind.conf.d/b.conf": "[Login]\nKillUserProcesses=0\n"}, false},
		"of one name the admin's":     {map[string]string{drop + "a.conf": "[Login]\nKillUserProcesses=1\n", "/usr/lib/systemd/logind.conf.d/a.conf": "[Login]\nKillUserProcesses=0\n"}, true},
		"another section":             {map[string]string{main: "[Login]\nKillUserProcesses=no\n[Other]\nKillUserProcesses=yes\n"}, false},
		"excluded":                    {map[string]string{main: "[Login]\nKillUserProcesses=yes\nKillExcludeUsers=bob ann\n"}, false},
		"only others":                 {map[string]string{main: "[Login]\nKillUserProcesses=yes\nKillOnlyUsers=bob\n"}, false},
		"only her, switched off":      {map[string]string{main: "[Login]\nKillUserProcesses=no\nKillOnlyUsers=ann\n"}, true},
		"su from root's session":      {map[string]string{main: "[Login]\nKillUserProcesses=yes\n", "/run/systemd/sessions/3": "UID=0\nUSER=root\n"}, false},
		"lingering doesn't help":      {map[string]string{main: "[Login]\nKillUserProcesses=yes\n", "/var/lib/systemd/linger/ann": ""}, true},
	} {
		why, fix := machine(t, c.files).Doom(Place{Session, "3"})
		if (why != "") != c.doom || c.doom && !strings.Contains(fix, "--lifetime=user") {
			t.Errorf("%s: %q %q, want doom %v", name, why, fix, c.doom)
		}
	}
}

func TestLeader(t *testing.T) {
	session := map[string]string{
		"/run/systemd/system/x": "", "/proc/self/cgroup": "0::/user.slice/user-1000.slice/session-3.scope\n",
		"/run/systemd/sessions/3": "UID=1000\nUSER=ann\nLEADER=4711\n",
	}
	if pid, err := machine(t, session).Leader(); pid != 4711 || err != nil {
		t.Errorf("%d %v", pid, err)
	}
	session["/proc/self/cgroup"] = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope\n"
	h := machine(t, session)
	if _, err := h.Leader(); err == nil || !strings.Contains(err.Error(), "no login session") {
		t.Errorf("%v", err)
	}
	h.Getenv = func(name string) string { return map[string]string{"XDG_SESSION_ID": "3"}[name] }
	if pid, err := h.Leader(); pid != 4711 || err != nil {
		t.Errorf("%d %v", pid, err)
	}
	h.Getenv = func(string) string { return "../../../etc/passwd" }
	if _, err := h.Leader(); err == nil {
		t.Error("a session id is no path")
	}
	h.Getenv = func(string) string { return "4" }
	if _, err := h.Leader(); err == nil || !strings.Contains(err.Error(), "names no leader") {
		t.Errorf("%v", err)
	}
}

// TestWord: a number alone may be another process's by now.
func TestWord(t *testing.T) {
	word, err := Word(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	p, err := Find(word)
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	for _, wrong := range []string{word + "1", "1", "", "x:1"} {
		if _, err := Find(wrong); err == nil {
			t.Errorf("%q: found", wrong)
		}
	}
}
