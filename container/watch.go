package container

import (
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rl-containers/rl/cgroup"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/lazyjson"
	"github.com/rl-containers/rl/logs"
	"github.com/rl-containers/rl/session"
	"github.com/rl-containers/rl/slirp"
	"github.com/rl-containers/rl/stdio"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
)

// handle is what the monitor's programs tell each other of a running container, as an argument. Numbers are descriptors, -1 is none.
type handle struct {
	Pid          int
	In, Out, Err int
	Listener     int
	Clients      []clientHandle `json:",omitempty"`
	Net          *slirp.Handle  `json:",omitempty"`
	Fuse         int            `json:",omitempty"`
	TTY          bool           `json:",omitempty"`
	Remove       bool           `json:",omitempty"`
	Userns       string         `json:",omitempty"`
	StopSignal   string         `json:",omitempty"`
	StopTimeout  int
	Timeout      int           `json:",omitempty"`
	Delay        time.Duration `json:",omitempty"` // before the last start
	// RemoveImage is the name of the image that goes after the container.
	RemoveImage string `json:",omitempty"`
	// Of spec.Health and its OnFailure. They are no struct of their own: encoding/json would take memory for its type.
	CheckEvery  time.Duration `json:",omitempty"`
	CheckEarly  time.Duration `json:",omitempty"`
	StartPeriod time.Duration `json:",omitempty"`
	OnFailure   string        `json:",omitempty"`
	Log         logs.Config   `json:",omitzero"`
	Who         logs.Who
	// Leader is the process with which the container ends, as session.Word has it.
	Leader string `json:",omitempty"`
	// Again: the container is to be started, not watched.
	Again bool `json:",omitempty"`
	// Asked: the monitor was told to end already.
	Asked bool `json:",omitempty"`
	// Socket is Listener as a file.
	Socket *os.File `json:"-"`
}

type clientHandle struct {
	Fd   int
	Word string
}

// watcher is the watching program. It is small: there may be hundreds, and each waits for months.
type watcher struct {
	*handle
	dir  *storage.Container
	proc *sys.Process
	net  *slirp.Helper
	// group is its cgroup, nil for none.
	group    *cgroup.Group
	starving *starving
	hub      *stdio.Hub
	log      logs.Writer
	// asked: the machine or the session goes down, by a SIGTERM in term.
	asked atomic.Bool
	term  chan os.Signal
	// checks are the health checks, renew that they want another life of the container.
	checks *checkups
	renew  atomic.Bool
	slim   *slimmer
}

// watch goes on with what a handle names.
func watch(dir *storage.Container, word string, term chan os.Signal) int {
	h := &handle{}
	if err := lazyjson.Unmarshal([]byte(word), h); err != nil {
		return 125
	}
	h.Socket = file(h.Listener, "attach")
	if h.Again {
		return restart(dir, h, term)
	}
	w := &watcher{handle: h, dir: dir, term: term}
	code, err := w.live()
	w.end(code, err)
	return 0
}

func file(fd int, name string) *os.File {
	if fd < 0 {
		return nil
	}
	return os.NewFile(uintptr(fd), name)
}

// live serves the container until it ends.
func (w *watcher) live() (code int, err error) {
	if w.proc, err = sys.Child(w.Pid); err != nil {
		return 0, err
	}
	if w.net, err = w.Net.TakeOver(); err != nil {
		return 0, err
	}
	w.catch()
	w.slim = newSlimmer()
	if w.log, _ = logs.Open(w.dir.Lock(), w.Log, w.Who); w.log != nil { // it went well before the start
		w.log = &slimLog{Writer: w.log, slim: w.slim}
	}
	w.hub = stdio.NewHub(file(w.In, "in"), file(w.Out, "out"), file(w.Err, "err"), w.TTY, w.log)
	for _, c := range w.Clients {
		w.firstClient(c)
	}
	w.serveAll()
	w.hub.Pump()
	w.slim.settle()
	w.slim.did(0) // what follows needs some of it again
	w.startCheckups()
	w.followGroup()
	limit := limitTime(w.Timeout, w.proc.Kill)
	status, err := w.proc.WaitIdle()
	if err != nil {
		return 0, err
	}
	w.hub.Drain()
	if w.log != nil {
		w.log.Close() // before the end is on record: who follows reads on until that is
	}
	if why := limit.reached(status); why != nil {
		return timedOutCode, why
	}
	return exitCode(status), nil
}

// followGroup opens the container's cgroup, if it has one.
func (w *watcher) followGroup() {
	if life, err := storage.ReadLife(w.dir.Dir); err == nil {
		w.group = cgroup.Reopen(life.Cgroup)
	}
	w.starving = watchMemory(w.group, func() {
		if rec, err := storage.ReadRecord(w.dir.Dir); err == nil {
			tell(w.dir.Dir, eventOf(rec, "oom"))
		}
	})
}

// end writes down the end, and starts the container again if its policy wants that.
func (w *watcher) end(code int, err error) {
	w.checks.end()
	w.net.Close()
	if w.Fuse > 0 {
		if fuse, err := sys.Child(w.Fuse); err == nil {
			fuse.Kill()
			fuse.Wait()
		}
	}
	life, lost := storage.ReadLife(w.dir.Dir)
	if lost != nil {
		life = &storage.Life{}
	}
	life.ExitCode, life.Finished = code, time.Now()
	starved := w.countGroup(life)
	if err != nil {
		life.Error = err.Error()
	}
	w.tellEnd(code, starved)
	r := &run{Request: Request{Remove: w.Remove}, id: os.Args[1], dir: w.dir}
	if w.wants(life) {
		w.again(r, life)
	}
	if w.Remove {
		r.ids, _ = idmap.Mine(w.Userns)
		r.discard()
		if w.RemoveImage != "" {
			removeImage(w.RemoveImage)
		}
	} else {
		w.dir.WriteLife(life)
		w.dir.Close()
	}
	if w.hub != nil {
		w.hub.End(code)
	}
}

// wants is the restart policy, as it is by now.
func (w *watcher) wants(life *storage.Life) bool {
	rec, err := storage.ReadRecord(w.dir.Dir)
	if err != nil || w.asked.Load() || w.dir.StopAsked() {
		return false
	}
	if w.renew.Load() {
		return true
	}
	switch kind, times, _ := restartPolicy(rec.Restart); kind {
	case "always", "unless-stopped":
		return true
	case "on-failure":
		return life.ExitCode != 0 && (times == 0 || life.Restarts < times)
	}
	return false
}

// again waits and executes the starting program. It returns when the end was asked for meanwhile.
func (w *watcher) again(r *run, life *storage.Life) {
	life.Restarting = true
	life.Restarts++
	w.dir.WriteLife(life)
	w.hub.End(life.ExitCode)
	delay := backOff(w.Delay, time.Since(life.Started))
	for until := time.Now().Add(delay); time.Now().Before(until); {
		time.Sleep(min(100*time.Millisecond, time.Until(until)))
		if w.asked.Load() || w.dir.StopAsked() {
			life.Restarting = false
			return
		}
	}
	if hold(w.term) || w.asked.Load() {
		life.Restarting = false
		return
	}
	next := *w.handle
	next.Again, next.Delay, next.Clients, next.Net, next.Fuse = true, delay, nil, nil, 0
	next.Listener = sys.Keep(w.Socket)
	r.become(&next)
}

// restart is the starting program, without anybody to be told.
func restart(dir *storage.Container, h *handle, term chan os.Signal) int {
	s, err := adopt(dir)
	if err != nil {
		return 125
	}
	life, err := storage.ReadLife(dir.Dir)
	if err == nil && dir.StopAsked() { // in the moment of execve
		life.Restarting = false
		dir.WriteLife(life)
		return 0
	}
	s.life.Restarts = life.Restarts
	s.next = handle{Socket: h.Socket, Delay: h.Delay, Leader: h.Leader}
	if err := s.begin(); err != nil {
		s.cleanUp(0, err)
		return 125
	}
	tell(dir.Dir, eventOf(s.asRecorded(), "restart"), eventOf(s.asRecorded(), "start"))
	s.goOn(term)
	return 125
}

// catch ends the container in order when the monitor is asked to end: at logout, or when the machine goes down.
func (w *watcher) catch() {
	// SIGXFSZ: a log that ulimit -f stops is full, not the end of the monitor.
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE, syscall.SIGXFSZ)
	if w.Asked {
		w.term <- syscall.SIGTERM
	}
	go func() {
		for range w.term {
			w.goDown()
		}
	}()
	if w.Leader != "" {
		go w.follow()
	}
}

// goDown stops the container for good.
func (w *watcher) goDown() {
	w.asked.Store(true)
	stopProcess(w.proc, w.StopSignal, w.StopTimeout)
}

// follow ends the container with the login session.
func (w *watcher) follow() {
	if p, err := session.Find(w.Leader); err == nil {
		p.EndedIdle()
	}
	w.goDown()
}

// firstClient is the one that started the container and sees its first byte.
func (w *watcher) firstClient(c clientHandle) {
	f, err := stdio.Pollable(file(c.Fd, "client"))
	if err != nil {
		return
	}
	w.hub.Join(f, parseAttachWord(c.Word))
	go w.carry(f)
}
