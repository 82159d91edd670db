// Package session tells what becomes of a process at the end of its user's login, and which process's end that is. It reads files of
// systemd-logind and its own place among the control groups; it asks nobody (no D-Bus) and starts nothing.
package session

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// Host is this machine as its files show it to a process.
type Host struct {
	Root   string // before every path: "" but in tests
	UID    int
	Getenv func(string) string
}

// Here is this process.
func Here() *Host { return &Host{UID: os.Getuid(), Getenv: os.Getenv} }

// Kind is who rules the place of a process.
type Kind int

// The kinds.
const (
	// Free: no login has to do with it, as under a system service or without systemd.
	Free Kind = iota
	// Session is session-N.scope: logind ends it at logout, or leaves it alone, by KillUserProcesses (logind.conf(5)).
	Session
	// Manager is user@UID.service, the user's own systemd: it ends with the last session unless the user lingers (loginctl(1)).
	Manager
)

// Place is where a process stands among systemd's units.
type Place struct {
	Kind Kind
	ID   string // of the session
}

// Place reads that of this process. What it starts stays there until somebody moves it.
func (h *Host) Place() Place { return PlaceOf(h.read("/proc/self/cgroup")) }

// PlaceOf is that of a process with this /proc/PID/cgroup (cgroups(7)), or of one directory of cgroup v2.
func PlaceOf(text string) Place {
	for line := range strings.Lines(text) {
		path := strings.TrimSpace(line)
		if !strings.HasPrefix(path, "/") {
			_, controllers, _ := strings.Cut(path, ":")
			list, dir, _ := strings.Cut(controllers, ":")
			if list != "" && list != "name=systemd" { // version 1: systemd's own hierarchy alone tells
				continue
			}
			path = dir
		}
		for _, unit := range strings.Split(path, "/") {
			if strings.HasPrefix(unit, "user@") && strings.HasSuffix(unit, ".service") {
				return Place{Kind: Manager}
			}
			if id, ok := strings.CutPrefix(unit, "session-"); ok && strings.HasSuffix(id, ".scope") {
				return Place{Session, strings.TrimSuffix(id, ".scope")}
			}
		}
	}
	return Place{}
}

// Doom says why the system will end the processes of a place when the user logs out, and what to type so that it doesn't; "" when
// it won't.
func (h *Host) Doom(p Place) (why, fix string) {
	switch p.Kind {
	case Session:
		// Lingering doesn't help there: logind asks it about the user's manager only.
		user := h.value("/run/systemd/sessions/"+p.ID, "USER")
		if user == "" {
			user = h.login()
		}
		if h.settings().kills(user) {
			fix = "--lifetime=user, which puts it outside of the session"
			if !h.lingers() {
				fix = "loginctl enable-linger, then " + fix
			}
			return "KillUserProcesses=yes (logind.conf) ends what a session leaves behind", fix
		}
	case Manager:
		if !h.lingers() {
			return "systemd ends what you leave running with your last session", "loginctl enable-linger"
		}
	}
	return "", ""
}

// lingers: loginctl enable-linger made a file.
func (h *Host) lingers() bool {
	return unix.Access(h.Root+"/var/lib/systemd/linger/"+h.login(), unix.F_OK) == nil
}

// Leader is the process whose end is that of the login: under systemd the one that opened the session (sshd, login, the display
// manager), elsewhere the leader of the POSIX session (setsid(2)), which is the login shell or that of a terminal.
func (h *Host) Leader() (pid int, err error) {
	if unix.Access(h.Root+"/run/systemd/system", unix.F_OK) != nil {
		return h.posixLeader()
	}
	id := h.Place().ID
	if id == "" {
		id = h.Getenv("XDG_SESSION_ID") // below the user's manager, as terminals of a desktop are
	}
	if id == "" || strings.Contains(id, "/") {
		return 0, hint.Errorf("log in by ssh, a console or a desktop; without the flag it stays", "--lifetime=session: rl runs in no login session (/proc/self/cgroup)")
	}
	pid, err = strconv.Atoi(h.value("/run/systemd/sessions/"+id, "LEADER"))
	if err != nil || pid <= 1 {
		return 0, hint.Errorf("loginctl session-status "+id, "--lifetime=session: /run/systemd/sessions/%s names no leader of the session", id)
	}
	return pid, nil
}

func (h *Host) posixLeader() (int, error) {
	pid, err := unix.Getsid(0)
	switch {
	case err != nil:
		return 0, os.NewSyscallError("getsid", err)
	case pid == 0:
		return 0, hint.Errorf("without the flag the container stays", "--lifetime=session: the session's leader is outside of this pid namespace")
	case pid == os.Getpid():
		return 0, hint.Errorf("without the flag the container stays", "--lifetime=session: rl leads its session itself, and ends now")
	}
	return pid, nil
}

// Word names a process beyond doubt: its number and when it started.
func Word(pid int) (string, error) {
	start, err := sys.StartTime(pid)
	if err != nil {
		return "", hint.Errorf("without the flag the container stays", "--lifetime=session: the session's leader %d: %w", pid, err)
	}
	return strconv.Itoa(pid) + ":" + strconv.FormatUint(start, 10), nil
}

// Find is the process of a Word. An error says that it has ended.
func Find(word string) (*sys.Process, error) {
	number, ticks, _ := strings.Cut(word, ":")
	pid, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	start, err := strconv.ParseUint(ticks, 10, 64)
	if err != nil {
		return nil, err
	}
	return sys.FindProcess(pid, start)
}

// login is the user's name.
func (h *Host) login() string {
	number := strconv.Itoa(h.UID)
	for line := range strings.Lines(h.read("/etc/passwd")) {
		if f := strings.Split(line, ":"); len(f) > 3 && f[2] == number {
			return f[0]
		}
	}
	return h.Getenv("USER") // of a directory service
}

// value is that of KEY=VALUE in a file of logind's.
func (h *Host) value(path, key string) string {
	for line := range strings.Lines(h.read(path)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return v
		}
	}
	return ""
}

func (h *Host) read(path string) string {
	b, _ := os.ReadFile(h.Root + path)
	return string(b)
}
