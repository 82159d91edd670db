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

	"github.com/rl-containers/rl/enter"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
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
	CIDFile  string
	Network  string
	Ports    []string
	DNS      []string
	// DNSSearch and DNSOptions replace those of the host's resolv.conf.
	DNSSearch, DNSOptions []string
	AddHosts              []string
	DetachKeys            string
	SigProxy              bool
	Quiet                 bool
	// StorageDriver is "" (native overlay, else fuse-overlayfs), "overlay" or "fuse-overlayfs".
	StorageDriver string
	Options       spec.Options
}

// run is one `rl run` under way.
type run struct {
	Request
	store  *storage.Store
	image  *storage.Image
	spec   *spec.Container
	ids    idmap.Map
	mode   slirp.Mode
	ports  []slirp.Port
	plan   *enter.Plan
	id     string
	dir    *storage.Container
	stdio  *stdio.Streams
	detach []byte
	proc   *userns.Process
	net    *slirp.Helper
	fuse   *userns.Process
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

// Run starts a container and stays with it. The result is a *hint.Exit with the program's own exit code, or what failed.
func Run(req Request) error {
	// The kernel kills the container when the thread that made it ends (prctl(2), PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	r := &run{Request: req, running: make(chan struct{})}
	// Nothing is made before all that can be wrong with the request was said.
	for _, step := range []func() error{r.check, r.findImage, r.compile, r.makeDirs} {
		if err := step(); err != nil {
			r.cleanUp()
			return err
		}
	}
	code, err := r.start()
	if r.fallBack(err) {
		code, err = r.start()
	}
	r.cleanUp()
	if err != nil {
		return err
	}
	return &hint.Exit{Code: code}
}

// check looks at what needs neither image nor disk.
func (r *run) check() (err error) {
	if r.mode, err = slirp.Parse(r.Network); err != nil {
		return err
	}
	if err := checkPull(r.Pull); err != nil {
		return err
	}
	if r.ports, err = slirp.ParsePorts(r.Ports); err != nil {
		return err
	}
	if err := checkName(r.Name); err != nil {
		return err
	}
	if r.ids, err = idmap.Mine(r.Options.Userns); err != nil {
		return err
	}
	if r.detach, err = stdio.ParseDetachKeys(r.DetachKeys); err != nil {
		return err
	}
	r.Options.HostNetwork = r.mode.Kind == slirp.Host
	r.store, err = storage.Open()
	return err
}

// findImage gets the image's record: one small file, or rl-image when there is none, it is stale, or a pull is asked for.
func (r *run) findImage() (err error) {
	switch {
	case r.Rootfs != "":
		if st, err := os.Stat(r.Rootfs); err != nil || !st.IsDir() {
			return hint.Errorf("--rootfs takes a directory that holds a whole root file system", "root file system %s: not a directory that you can read", r.Rootfs)
		}
		if abs, _ := filepath.Abs(r.Rootfs); abs == "/" {
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

// compile makes the spec, the plan, and the files of the network.
func (r *run) compile() (err error) {
	if r.spec, err = spec.FromImage(r.image.Config, r.Options); err != nil {
		return err
	}
	if r.id, err = newID(); err != nil {
		return err
	}
	r.spec.User = keepID(r.spec.User, &r.Options, r.ids)
	if r.spec.Spec.Hostname == "" && plan.HasNew(r.spec.Spec, specs.UTSNamespace) {
		r.spec.Spec.Hostname = r.hostname()
	}
	if r.plan, err = compilePlan(r.spec, r.ids); err != nil {
		return err
	}
	r.plan.Process.Env = hostnameEnv(r.plan.Process.Env, r.spec.Spec.Hostname)
	if err := r.addNetworkFiles(); err != nil {
		return err
	}
	r.adaptSingleID()
	r.addCaller()
	r.warn()
	return r.planRoot()
}

// fallBack takes the next rung of the root file system when the kernel or the file system of the store refused the first.
func (r *run) fallBack(err error) bool {
	var refused *userns.Refused
	if !errors.As(err, &refused) || r.plan.Root.Kind != enter.Overlay || r.StorageDriver == "overlay" {
		return false
	}
	if _, missing := hostProgram("fuse-overlayfs"); missing != nil {
		return false
	}
	r.say("note: native overlay is refused here, fuse-overlayfs serves the root file system (rl doctor tells why)")
	r.plan.Root.Kind = enter.Fuse
	if r.net != nil {
		r.net.Close()
	}
	return true
}

// makeDirs makes the only thing that a container has on disk.
func (r *run) makeDirs() (err error) {
	if r.dir, err = r.store.NewContainer(r.id, r.Name, r.Remove); err != nil {
		return err
	}
	if r.Rootfs == "" {
		r.plan.Root.Dir = r.dir.Dir
	}
	if !r.Remove {
		if err := r.dir.Write("config.json", r.spec); err != nil {
			return err
		}
	}
	if r.CIDFile == "" {
		return nil
	}
	return writeCIDFile(r.CIDFile, r.id)
}

// start is the life of the container, from clone to its end.
func (r *run) start() (code int, err error) {
	if r.stdio, err = stdio.Open(r.Options.Interactive, r.Options.TTY); err != nil {
		return 0, err
	}
	r.stdio.Detach, r.stdio.Say = r.detach, r.say
	sys.EmptyKeyring()
	r.proc, err = userns.Start(userns.Config{Namespaces: plan.NamespaceFlags(r.spec.Spec), Map: r.ids, Stdio: r.stdio.Child, Args: r.mode.Tap()})
	r.stdio.Started()
	if err != nil {
		return 0, err
	}
	if err := r.launch(); err != nil {
		r.proc.Abort()
		return 0, r.fuseSaid(err)
	}
	return r.stay()
}

// launch carries the child over the two steps of the protocol: the plan, and the word to go.
func (r *run) launch() error {
	err := r.proc.Send(func(w io.Writer) error { return enter.WritePlan(w, r.plan) })
	if err != nil {
		return err
	}
	if r.caught == nil {
		r.caught = catchSignals(r)
	}
	if len(r.mode.Tap()) > 0 {
		if _, _, err := r.proc.Next(); err != nil {
			return fmt.Errorf("start container: %w", err)
		}
	}
	if r.net, err = slirp.Start(r.mode, r.ports, r.proc.Pid, r.dir.Dir); err != nil {
		return err
	}
	if err := r.record(); err != nil {
		return err
	}
	if r.plan.Root.Kind == enter.Fuse || r.plan.Process.Terminal {
		if err := r.takeDescriptors(); err != nil {
			return err
		}
	}
	if err := r.net.Ready(10 * time.Second); err != nil {
		return r.firstFailure(err)
	}
	r.sayPorts()
	<-r.caught
	return r.letGo()
}

// letGo lets the program start, and waits for that.
func (r *run) letGo() error {
	r.going.Store(true)
	defer close(r.running)
	if err := r.proc.Go(); err != nil {
		return err
	}
	if _, _, err := r.proc.Next(); err != io.EOF {
		return err
	}
	return nil
}

// firstFailure prefers the child's own failure over the helper's, which may be its consequence.
func (r *run) firstFailure(helper error) error {
	if r.proc.Failed() {
		if _, _, err := r.proc.Next(); err != nil && err != io.EOF {
			return err
		}
	}
	return helper
}

// takeDescriptors receives what the child opens for the outside: the FUSE device, then the terminal.
func (r *run) takeDescriptors() error {
	want := 0
	if r.plan.Root.Kind == enter.Fuse {
		want++
	}
	if r.plan.Process.Terminal {
		want++
	}
	for range want {
		letter, f, err := r.proc.Next()
		if err == io.EOF {
			return errors.New("start container: the child died without a word")
		}
		if err != nil {
			return err
		}
		switch letter {
		case 'f':
			r.fuse, err = serveFuse(f, r)
			f.Close()
		case 't':
			err = r.stdio.Attach(f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// record writes down whose process it is, so that the next rl can end what a killed one left.
func (r *run) record() error {
	start, err := sys.StartTime(r.proc.Pid)
	if err != nil {
		return err
	}
	return r.dir.Write("record.json", &storage.Record{ID: r.id, Name: r.Name, Image: r.Image, ImageID: r.image.ID,
		Command: r.spec.Spec.Process.Args, Created: time.Now(), Labels: r.spec.Labels, Pid: r.proc.Pid, Start: start, BootID: sys.BootID()})
}

// stay passes signals and bytes until the program ends.
func (r *run) stay() (int, error) {
	r.stdio.Pump()
	r.collected = make(chan struct{})
	go r.collect()
	go watchReader(r)
	if r.net != nil {
		go r.watchNetwork()
	}
	status, err := r.proc.Wait()
	if err != nil {
		return 0, fmt.Errorf("wait for container: %w", err)
	}
	r.stdio.Drain()
	if r.brokenPipe.Load() {
		return 128 + int(syscall.SIGPIPE), nil
	}
	return exitCode(status), nil
}

func (r *run) watchNetwork() {
	if err := <-r.net.Done(); err != nil {
		r.say("warning: the network of the container is gone: " + err.Error())
	}
}

// say prints one line for the user, in a form that a raw terminal shows well.
func (r *run) say(line string) {
	end := "\n"
	if r.stdio != nil && r.stdio.Raw() {
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

// cleanUp lets go of everything, in the order in which it depends on each other.
func (r *run) cleanUp() {
	if r.stdio != nil {
		r.stdio.Restore()
	}
	if r.net != nil {
		r.net.Close()
	}
	if r.fuse != nil {
		r.fuse.Kill()
		r.fuse.Wait()
	}
	if r.collected != nil {
		<-r.collected
	}
	if r.dir == nil {
		return
	}
	if r.Remove || r.proc == nil {
		if left := r.dir.Remove(); left != "" {
			removeMapped(r.ids, []string{left})
		}
	}
	r.dir.Close()
}

// collect takes away what killed commands left behind, beside the running container. cleanUp waits for it: a program that ends
// at once must not keep the garbage of another for ever.
func (r *run) collect() {
	defer close(r.collected)
	if left := r.store.Collect(); len(left) > 0 {
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
