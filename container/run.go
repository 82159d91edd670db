// Package container is the outside of a container: it turns a request into a spec and a plan, starts the process, and stays
// with it until it ends.
package container

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/cgroup"
	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/logs"
	"github.com/rl-containers/rl/plan"
	"github.com/rl-containers/rl/slirp"
	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/stdio"
	"github.com/rl-containers/rl/storage"
	"github.com/rl-containers/rl/sys"
	"github.com/rl-containers/rl/userns"
)

// Request is `rl run` as typed.
type Request struct {
	Image    string // or Rootfs
	Rootfs   string // --rootfs: a directory instead of an image
	Name     string
	Remove   bool   // --rm
	Pull     string // always, missing, newer or never
	Platform string // os/arch[/variant]; "" is this machine's
	// Authfile and TLSVerify are of the pull.
	Authfile  string `json:"-"`
	TLSVerify *bool  `json:"-"`
	CIDFile   string
	PidFile   string `json:",omitempty"` // gets the number of each first process
	Network   string
	Ports     []string
	// MonitorPidFile gets the number of the process that stays with it.
	MonitorPidFile string `json:",omitempty"`
	// PreserveFds are so many descriptors from 3 on that the program gets.
	PreserveFds int `json:"-"`
	// Expose are ports of --expose; PublishAll publishes them and the image's (-P).
	Expose     []string `json:",omitempty"`
	PublishAll bool     `json:",omitempty"`
	DNS        []string
	// DNSSearch and DNSOptions replace those of the host's resolv.conf.
	DNSSearch, DNSOptions []string
	AddHosts              []string
	// NoHosts leaves the image's /etc/hosts as it is.
	NoHosts bool `json:",omitempty"`
	// TimeZone is that of --tz: one of this machine by its name, or "local".
	TimeZone   string `json:",omitempty"`
	DetachKeys string
	SigProxy   bool
	// Leave: the keys leave the container running, so that it needs a monitor from the start.
	Leave bool `json:"-"`
	// Attach are the streams of --attach, none: all. Alone is told of a container of which nobody sees what it writes, when it runs.
	Attach []string        `json:"-"`
	Alone  func(id string) `json:"-"`
	Quiet  bool
	// StorageDriver is "" (native overlay, else fuse-overlayfs), "overlay" or "fuse-overlayfs".
	StorageDriver string
	// VolumesFrom are containers whose mounts it gets, too: NAME[:ro].
	VolumesFrom []string
	// RemoveImage is --rmi: the image goes after the container.
	RemoveImage bool `json:",omitempty"`
	// Restart is the policy: "", "no", "always", "unless-stopped", "on-failure[:N]".
	Restart string
	// StopTimeout is how many seconds a stop waits before it kills.
	StopTimeout int
	// Timeout is how many seconds it may run; 0: without end.
	Timeout int `json:",omitempty"`
	// Log is how its output is kept.
	Log logs.Config `json:",omitzero"`
	// Replace removes a container that has the name already.
	Replace bool
	// Lifetime is "session", "user" or "": what becomes of it at logout.
	Lifetime string `json:",omitempty"`
	// Typed is the command that made it, without its name, and Dir where it was typed.
	Typed []string `json:",omitempty"`
	Dir   string   `json:",omitempty"`
	// SdNotify is "conmon" where the service manager is to be told of the start (sd_notify(3)).
	SdNotify string `json:",omitempty"`
	// Cgroups, CgroupParent and Limits are the flags of those names.
	Cgroups      string `json:",omitempty"`
	CgroupParent string `json:",omitempty"`
	Limits       string `json:",omitempty"`
	// Detached: a monitor stays with it instead of the caller.
	Detached bool
	Options  spec.Options
}

// run is one life of a container under way.
type run struct {
	Request
	store *storage.Store
	image *storage.Image
	spec  *spec.Container
	ids   idmap.Map
	mode  slirp.Mode
	// network is the mode in words: that of the container that is joined, if one is. joined are those, by flag.
	network string
	joined  map[string]*joined
	ports   []slirp.Port
	plan    *enter.Plan
	id      string
	// unnamed: the name is rl's choice.
	unnamed bool
	// later: another command starts it.
	later bool
	// old: the container was there before this start, whose failure doesn't take it away.
	old  bool
	dir  *storage.Container
	life storage.Life
	// told: there was an event of its start.
	told bool
	io   streams
	// front is io when the container is tied to the caller's terminal, nil in a monitor.
	front  *stdio.Streams
	log    logs.Writer // nil: none is kept
	detach []byte
	proc   *userns.Process
	// group is its cgroup, nil for none. scope: it wants one of systemd's, whatever its limits.
	// killsBefore are those that the kernel killed for want of memory before an exec.
	group       *cgroup.Group
	scope       bool
	killsBefore uint64
	starving    *starving
	net         *slirp.Helper
	fuse        *userns.Process
	// fuseWords is what fuse-overlayfs wrote to its standard error.
	fuseWords *os.File
	// brokenPipe: the reader of the program's output is gone, and rl ended it for that.
	brokenPipe atomic.Bool
	caught     <-chan struct{} // catchSignals
	// going: the program was told to start. Its first output may be older than the news that it runs, and a signal that answers
	// to it is the program's: it waits for running, which is closed when that is known.
	going   atomic.Bool
	running chan struct{}
	// collected is closed when what killed commands left has been taken away.
	collected chan struct{}
}

// streams carry the bytes of a container: the caller's own, or a monitor's.
type streams interface {
	Files() [3]*os.File
	Started()
	Attach(master *os.File) error
}

// Run starts a container and stays with it. The result is a *hint.Exit with the program's own exit code, or what failed.
func Run(req Request) error {
	if kind, _, _ := restartPolicy(req.Restart); kind != "" && kind != "no" || req.Options.Health.OnFailure == "restart" || req.Leave {
		return runMonitored(req)
	}
	// The kernel kills the container when the thread that made it ends (prctl(2), PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	r := &run{Request: req, running: make(chan struct{})}
	if err := r.create(); err != nil {
		return err
	}
	code, err := 0, r.openFront()
	if err == nil {
		err = r.start()
	}
	if err == nil {
		r.sayReady()
		r.tellAlone()
	}
	if err == nil {
		code, err = r.stay()
	}
	r.cleanUp(code, err)
	if err != nil {
		return err
	}
	if r.RemoveImage {
		if err := removeImage(r.Image); err != nil {
			r.say("warning: --rmi: " + err.Error())
		}
	}
	return &hint.Exit{Code: code}
}

// create makes the container. Nothing is made before all that can be wrong with the request was said.
func (r *run) create() error {
	for _, step := range []func() error{r.check, r.findImage, r.compile, r.makePlan, r.makeDirs} {
		if err := step(); err != nil {
			r.discard()
			return err
		}
	}
	return nil
}

// openFront ties the container to the caller's terminal and files.
func (r *run) openFront() (err error) {
	if r.kept() {
		if err := r.openLog(); err != nil {
			return err
		}
	}
	if r.front, err = stdio.Open(r.wants(), r.Options.TTY, r.log); err != nil {
		return err
	}
	r.tellKeys("this container ends with rl; with rl run -it --detach-keys ctrl-p,ctrl-q it can be left")
	r.io = r.front
	return nil
}

// check looks at what needs no image.
func (r *run) check() (err error) {
	if r.store, err = storage.Open(); err != nil {
		return err
	}
	if err := r.surroundings(); err != nil {
		return err
	}
	if err := r.checkPull(); err != nil {
		return err
	}
	if err := checkName(r.Name); err != nil {
		return err
	}
	if r.detach, err = stdio.ParseDetachKeys(r.DetachKeys); err != nil {
		return err
	}
	if err := r.checkAttach(); err != nil {
		return err
	}
	if err := checkLifetime(r.Lifetime); err != nil {
		return err
	}
	if r.NoHosts && len(r.AddHosts) > 0 {
		return hint.Errorf("leave one of the two out", "--add-host %s: with --no-hosts there is no file for it", r.AddHosts[0])
	}
	if err := r.checkPreserve(); err != nil {
		return err
	}
	if err := r.checkPidFiles(); err != nil {
		return err
	}
	if err := r.checkExpose(); err != nil {
		return err
	}
	if err := r.checkRemoveImage(); err != nil {
		return err
	}
	if err := checkTimeout(r.Timeout); err != nil {
		return err
	}
	if r.TimeZone != "" {
		if _, err := readZone(r.TimeZone); err != nil { // before an image is pulled
			return err
		}
	}
	if err := r.checkGroup(); err != nil {
		return err
	}
	if err := r.checkNotify(); err != nil {
		return err
	}
	kind, _, err := restartPolicy(r.Restart)
	if err != nil {
		return err
	}
	if r.Remove && kind != "" && kind != "no" {
		return hint.Errorf("leave one of them out", "--rm and --restart=%s exclude each other", r.Restart)
	}
	if r.Remove && r.Options.Health.OnFailure == "restart" {
		return hint.Errorf("leave one of them out", "--rm and --health-on-failure=restart exclude each other")
	}
	return nil
}

// surroundings are what a start finds outside the container: its network, ids, and other containers.
func (r *run) surroundings() (err error) {
	if err := r.findJoined(); err != nil {
		return err
	}
	if r.mode, err = slirp.Parse(r.network); err != nil {
		return err
	}
	if r.ports, err = slirp.ParsePorts(r.Ports); err != nil {
		return err
	}
	if err := r.checkPublishAll(); err != nil {
		return err
	}
	r.Options.HostNetwork = r.mode.Kind == slirp.Host
	r.ids, err = idmap.Mine(r.Options.Userns)
	r.tellSurroundings()
	return err
}

// findImage gets the image's record: one small file, or rl-image when there is none, it is stale, or a pull is asked for.
func (r *run) findImage() (err error) {
	switch {
	case r.Rootfs != "":
		if st, err := os.Stat(r.Rootfs); err != nil || !st.IsDir() {
			return hint.Errorf("--rootfs takes a directory that holds a whole root file system", "root file system %s: not a directory that you can read", r.Rootfs)
		}
		if r.Rootfs, _ = filepath.Abs(r.Rootfs); r.Rootfs == "/" {
			return hint.Errorf("-v /:/host shows it to a container", "--rootfs %s: the root of this machine can't be that of a container", r.Rootfs)
		}
		r.image = &storage.Image{}
		return nil
	case r.Image == "tiny":
		if r.Platform != "" && !strings.HasPrefix(r.Platform+"/", "linux/"+runtime.GOARCH+"/") {
			return hint.Errorf("leave --platform out", "tiny is built in for linux/%s, not for %s", runtime.GOARCH, r.Platform)
		}
		r.image, err = tiny(r.store)
		return err
	}
	if r.Pull == "" || r.Pull == "missing" || r.Pull == "never" {
		r.image, err = r.store.Image(r.Image, r.Platform)
		if err == nil || !errors.Is(err, storage.ErrNoRecord) {
			return err
		}
	}
	if err := resolve(r.store, &r.Request); err != nil {
		return err
	}
	r.image, err = r.store.Image(r.Image, r.Platform)
	return err
}

// compile makes the spec.
func (r *run) compile() (err error) {
	if err := r.inherit(); err != nil {
		return err
	}
	if r.spec, err = spec.FromImage(r.image.Config, r.Options); err != nil {
		return err
	}
	if r.id, err = newID(); err != nil {
		return err
	}
	if r.Name == "" {
		r.Name, r.unnamed = randomName(), true
	}
	if err := r.checkVolumes(); err != nil {
		return err
	}
	if err := r.Log.Expand(r.who()); err != nil {
		return err
	}
	r.spec.User = keepID(r.spec.User, &r.Options, r.ids)
	if r.spec.Spec.Hostname == "" && plan.HasNew(r.spec.Spec, specs.UTSNamespace) {
		r.spec.Spec.Hostname = r.hostname()
	}
	r.expose()
	r.warn()
	return nil
}

// makePlan makes the plan of a start, with the files of the network as it is now.
func (r *run) makePlan() (err error) {
	if r.plan, err = compilePlan(r.spec, r.ids); err != nil {
		return err
	}
	r.plan.Process.Env = hostnameEnv(r.plan.Process.Env, r.spec.Spec.Hostname)
	if err := r.addNetworkFiles(); err != nil {
		return err
	}
	if err := r.addZone(); err != nil {
		return err
	}
	r.publishExposed()
	r.adaptSingleID()
	r.addCaller()
	return r.planRoot()
}

// makeDirs makes the only thing that a container has on disk.
func (r *run) makeDirs() (err error) {
	if err := r.claimDir(); err != nil {
		return err
	}
	step("container %s: made in %s", r.Name, r.dir.Dir)
	if r.kept() || r.spec.Health != nil { // the first check comes at once
		if err := r.writeConfig(); err != nil {
			return err
		}
	}
	if err := r.dir.Write("record.json", r.record()); err != nil {
		return err
	}
	if !r.Remove {
		if err := r.dir.Keep(); err != nil {
			return err
		}
	}
	if err := r.ensureVolumes(); err != nil {
		return err
	}
	if r.CIDFile == "" {
		return nil
	}
	return writeCIDFile(r.CIDFile, r.id)
}

// writeConfig writes what start, exec and others need.
func (r *run) writeConfig() error {
	image := *r.image
	image.Config = spec.Image{} // layers are all that a start needs of it
	return r.dir.Write(configFile, &Config{Request: r.Request, Image: image, Spec: r.spec})
}

// claimDir makes the directory. Who typed no name gets one that nobody has.
func (r *run) claimDir() (err error) {
	if r.Replace && r.Name != "" && !r.unnamed {
		if old, ok := r.store.Named(r.Name); ok {
			if err := Delete(&old, true); err != nil {
				return err
			}
		}
	}
	for range 10 {
		name := r.Name
		if r.unnamed && !r.kept() {
			name = "" // nobody asks for it by name: not claimed
		}
		r.dir, err = r.store.NewContainer(r.id, name)
		if !r.unnamed || !errors.Is(err, storage.ErrNameInUse) {
			return err
		}
		r.Name = randomName()
		if err := r.makePlan(); err != nil {
			return err
		}
	}
	return err
}

// kept: somebody may start it again, or enter it from another rl than this.
func (r *run) kept() bool { return !r.Remove || r.Detached }

// record is what the list of containers shows.
func (r *run) record() *storage.Record {
	return &storage.Record{ID: r.id, Name: r.Name, Image: r.Image, ImageID: r.image.ID, Command: r.spec.Spec.Process.Args, Created: time.Now(),
		Labels: r.spec.Labels, Healthcheck: r.spec.Health != nil, Remove: r.Remove, StopSignal: r.spec.StopSignal, StopTimeout: r.StopTimeout, Restart: r.Restart, Network: r.Network,
		Volumes: r.spec.VolumeNames(false), Anonymous: r.spec.VolumeNames(true)}
}

// stay passes signals and bytes until the program ends.
func (r *run) stay() (int, error) {
	r.front.Pump()
	r.collected = make(chan struct{})
	go r.collect()
	go watchReader(r)
	checks := r.checkups()
	defer checks.end()
	if r.net != nil {
		go r.watchNetwork(r.net)
	}
	r.starving = watchMemory(r.group, func() { tell(r.dir.Dir, eventOf(r.asRecorded(), "oom")) })
	limit := limitTime(r.Timeout, r.proc.Kill)
	status, err := r.proc.Wait()
	step("process %d ended: %s", r.proc.Pid, sys.Describe(status))
	if err != nil {
		return 0, fmt.Errorf("wait for container: %w", err)
	}
	r.front.Drain()
	if why := limit.reached(status); why != nil {
		return r.overTime(why), nil
	}
	if r.brokenPipe.Load() {
		return 128 + int(syscall.SIGPIPE), nil
	}
	return exitCode(status), nil
}

func (r *run) watchNetwork(net *slirp.Helper) {
	if err := <-net.Done(); err != nil {
		r.say("warning: the network of the container is gone: " + err.Error())
	}
}

// tellKeys lets the detach keys say why they don't detach.
func (r *run) tellKeys(why string) {
	r.front.Detach, r.front.Typed = r.detach, func() { r.say("note: " + why) }
}

// say prints one line for the user, in a form that a raw terminal shows well.
func (r *run) say(line string) {
	if !hint.Tells(hint.LevelWarn) {
		return
	}
	end := "\n"
	if r.front != nil && r.front.Raw() {
		end = "\r\n"
	}
	io.WriteString(os.Stderr, "rl: "+hint.Clean(line)+end)
}

// warn tells what was replaced by the next best thing, a line each.
func (r *run) warn() {
	for _, w := range r.spec.Warnings {
		r.say("warning: " + w)
	}
	if r.ids.Note != "" && !r.Quiet {
		r.say("note: " + r.ids.Note)
	}
	if r.mode.Note != "" && !r.Quiet {
		r.say("note: " + r.mode.Note)
	}
}

// collect takes away what killed commands left behind, beside the running container. cleanUp waits for it: a program that ends
// at once must not keep the garbage of another for ever.
func (r *run) collect() {
	defer close(r.collected)
	if r.front != nil {
		r.tellBirth()
	}
	if !r.kept() {
		// For rl exec and the like, which come when the program runs.
		if err := r.writeConfig(); err != nil {
			r.say("warning: " + err.Error())
		}
	}
	left, lives := r.store.Collect()
	for i := range lives {
		dropGroup(&lives[i])
	}
	if len(left) > 0 {
		removeMapped(r.ids, left)
	}
}

// exitCode is the program's own, or 128 and the signal that ended it.
func exitCode(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}
