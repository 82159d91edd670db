// Package systemd asks the caller's own systemd for a place among the control groups: a transient scope, below which the caller may
// make cgroups and give them controllers (systemd.scope(5), "Delegate=" in systemd.resource-control(5)).
package systemd

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// Manager is a connection to the user's systemd.
type Manager struct {
	conn   *os.File
	bus    bool
	serial uint32
}

// How long a systemd may take to answer the connection, and to do a job. Only who asks for limits waits; on a machine with much to do
// 200 ms were too few at times.
const (
	patience    = 2 * time.Second
	jobPatience = 10 * time.Second
)

// What can be wrong.
var (
	// ErrNone: the user has no systemd that could be asked.
	ErrNone = errors.New("no systemd of the user's own (systemd --user) runs here")
	// ErrExists: a unit of that name is there.
	ErrExists = errors.New("a unit of that name exists")
)

// RuntimeDir is where pam_systemd(8) puts what belongs to a user's sessions: no variable of the environment is believed, which sudo
// and su pass on from another user.
func RuntimeDir(uid int) string { return "/run/user/" + strconv.Itoa(uid) }

// Booted tells whether the machine runs on systemd (sd_booted(3)).
func Booted() bool { return unix.Access("/run/systemd/system", unix.F_OK) == nil }

// There tells whether the user has one.
func There() bool { return unix.Access(RuntimeDir(os.Geteuid())+"/systemd/private", unix.F_OK) == nil }

// Dial connects to the systemd of the caller: to its private socket, else over the session bus (where a container shows just that).
func Dial() (*Manager, error) {
	uid := os.Geteuid()
	dir := RuntimeDir(uid)
	var errs []error
	for _, name := range []string{"/systemd/private", "/bus"} {
		m, err := dial(dir+name, uid)
		if err == nil {
			m.bus = name == "/bus"
			if err = m.greet(); err == nil {
				return m, nil
			}
			m.Close()
		}
		if !errors.Is(err, unix.ENOENT) {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		return nil, ErrNone
	}
	return nil, errors.Join(errs...)
}

func dial(path string, uid int) (*Manager, error) {
	if err := owned(path, uid); err != nil {
		return nil, err
	}
	conn, err := sys.DialWithin(path, patience)
	if err != nil {
		return nil, err
	}
	if err := authenticate(conn, strconv.Itoa(uid)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Manager{conn: conn}, nil
}

// owned: the socket is the caller's, so nobody else listens there.
func owned(path string, uid int) error {
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if own, ok := st.Sys().(*syscall.Stat_t); !ok || int(own.Uid) != uid || st.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s is no socket of user %d", path, uid)
	}
	return nil
}

// Close ends the connection. A scope doesn't need it.
func (m *Manager) Close() error { return m.conn.Close() }

// greet says hello to a bus, and asks it for the news of jobs; systemd itself sends them to whoever is connected.
func (m *Manager) greet() error {
	if !m.bus {
		return nil
	}
	bus := call{destination: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", iface: "org.freedesktop.DBus", member: "Hello"}
	if _, err := m.ask(&bus); err != nil {
		return err
	}
	bus.member, bus.signature = "AddMatch", "s"
	bus.body.string("type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'")
	if _, err := m.ask(&bus); err != nil {
		return err
	}
	_, err := m.ask(m.method("Subscribe"))
	return err
}

func (m *Manager) method(member string) *call {
	c := &call{path: "/org/freedesktop/systemd1", iface: "org.freedesktop.systemd1.Manager", member: member}
	if m.bus {
		c.destination = "org.freedesktop.systemd1"
	}
	return c
}

// ask sends a call and waits for its answer. Signals that come before it are dropped: nobody waits for one yet.
func (m *Manager) ask(c *call) (*answer, error) {
	m.serial++
	if _, err := m.conn.Write(c.encode(m.serial)); err != nil {
		return nil, fmt.Errorf("systemd, %s: %w", c.member, err)
	}
	for {
		a, err := readMessage(m.conn)
		if err != nil {
			return nil, fmt.Errorf("systemd, %s: %w", c.member, err)
		}
		if a.reply != m.serial {
			continue
		}
		if a.kind == failure && a.errorName == "org.freedesktop.systemd1.UnitExists" {
			return nil, fmt.Errorf("systemd, %s: %w", c.member, ErrExists)
		}
		if a.kind == failure {
			return nil, fmt.Errorf("systemd, %s: %s (%s)", c.member, hint.Clean(a.body.string()), hint.Clean(a.errorName))
		}
		return a, nil
	}
}

// Scope is a transient one that is to be.
type Scope struct {
	Name        string // ends in .scope
	Description string
	Slice       string // "" is app.slice
	// Pid is the process that moves there.
	Pid int
	// Stop is how long systemd waits between SIGTERM and SIGKILL when it stops the scope; 0 is its own default.
	Stop time.Duration
}

// Start makes the scope and waits until the process is in it.
func (m *Manager) Start(s Scope) error {
	if err := sys.Patience(int(m.conn.Fd()), jobPatience); err != nil {
		return err
	}
	c := m.method("StartTransientUnit")
	c.signature = "ssa(sv)a(sa(sv))"
	c.body.string(s.Name)
	c.body.string("fail")
	c.body.array(8, func() {
		for _, p := range s.properties() {
			c.body.align(8)
			c.body.string(p.name)
			c.body.variant(p.value)
		}
	})
	c.body.array(8, func() {})
	a, err := m.ask(c)
	if err != nil {
		return err
	}
	job := a.body.string()
	if a.body.err != nil {
		return fmt.Errorf("systemd, %s: %w", c.member, a.body.err)
	}
	return m.await(s.Name, job)
}

type property struct {
	name  string
	value any
}

func (s *Scope) properties() []property {
	all := []property{
		{"Description", s.Description}, {"PIDs", []uint32{uint32(s.Pid)}}, {"Delegate", true},
		{"CollectMode", "inactive-or-failed"}, // nothing of it stays, however it ended
	}
	slice := s.Slice
	if slice == "" {
		slice = "app.slice"
	}
	all = append(all, property{"Slice", slice})
	if s.Stop > 0 {
		all = append(all, property{"TimeoutStopUSec", uint64(s.Stop.Microseconds())})
	}
	return all
}

// await waits for the end of a job: JobRemoved(id, job, unit, result).
func (m *Manager) await(unit, job string) error {
	for {
		a, err := readMessage(m.conn)
		if err != nil {
			return fmt.Errorf("systemd, start of %s: %w", unit, err)
		}
		if a.kind != signal || a.member != "JobRemoved" {
			continue
		}
		a.body.uint32()
		if a.body.string() != job {
			continue
		}
		a.body.string()
		if result := a.body.string(); result != "done" {
			return fmt.Errorf("systemd, start of %s: %s", unit, hint.Clean(result))
		}
		return nil
	}
}
