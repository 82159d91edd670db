// Package enter is the inside of a container: what runs between clone and execve, in a process that is already in its new
// namespaces and never returns. It decides nothing: the outside compiled a Plan, and Main carries it out from top to bottom.
//
// The protocol with the outside (package userns), over one socket, descriptor 3:
//
//	outside                                   inside (rl-enter)
//	clone(USER|NS|PID|…), maps written
//	                             ◀─────────── 'n'                          (argument: the network helper's device is made)
//	1: the length and the Plan   ───────────▶ mounts, files …
//	                             ◀─────────── 'f' + /dev/fuse descriptor   (fuse-overlayfs rung only)
//	                             ◀─────────── 'h'                          (HooksOutside only: the mounts are made)
//	'g' (the hooks have run)     ───────────▶ masks, terminal, pivot_root
//	                             ◀─────────── 't' + pty master             (terminal only)
//	                             ◀─────────── 'r'                          (Gate only: all is ready)
//	'g' (it is on record)        ───────────▶ accept at the gate: whoever connects goes on as the outside
//	2: 'g' (the network is up)   ───────────▶ user, capabilities, seccomp, execve
//	                             ◀─────────── 'e' + one Failure, or end of file: the program runs
//
// A death on either side is an end of file on the other; there is nothing else to clean up.
package enter

import (
	"encoding/json"

	"github.com/rl-containers/rl/archive"
	"github.com/rl-containers/rl/sys"
)

// Plan is all that the inside does, as data.
type Plan struct {
	Root   RootFS
	Owner  Owner
	Mounts []Mount           // in order
	Files  map[string][]byte // content of the mounts whose Kind is File, by Mount.Source
	Masked []string          // made empty and read-only
	Locked []string          // remounted read-only
	// ReadOnlyDev makes /dev read-only when all is in it.
	ReadOnlyDev bool

	Hostname, Domainname string
	Sysctls              []Sysctl
	Loopback             bool // bring lo up: the network namespace is new
	// NewTime makes a time namespace, which the program enters when it is executed; TimeOffsets are lines of timens_offsets
	// (time_namespaces(7)).
	NewTime     bool
	TimeOffsets string
	Process     Process

	// HooksOutside lets the outside run hooks when the mounts are made; Hooks are run here after them (runtime-spec config.md,
	// "createContainer"), before the host's files are out of sight.
	HooksOutside bool
	Hooks        []sys.Hook
	// State is what hooks are told of the container (runtime-spec runtime.md, "State").
	State json.RawMessage

	// Enter leaves all above but State and Process out: the namespaces are those of a container that runs.
	Enter bool
	// Tool, instead of all above but Process.Env, is a program of the host to execute as root of the user namespace, with
	// descriptor 4 as its descriptor 3: rl-image, fuse-overlayfs.
	Tool []string
	// Remove, instead of all above, are directories to delete with the rights of all mapped ids.
	Remove []string
	// Measure, instead of all above, are directories whose use of disk is printed, a number a line.
	Measure []string
	// Lengths, with Measure: the lengths of the files, instead of what they take on disk.
	Lengths bool
	// Archive, instead of a program, is work on the files of a container, with the stream of an archive on descriptor 4: in the
	// container that runs (Enter), else with Root and Mounts; a Root without Kind leaves the host's files in place. Nothing of
	// the container is executed. What is left out is told in lines on standard error.
	Archive *archive.Job
}

// Owner is who makes what is made in the container: its root, or the one id that is mapped (--userns=keep-id without ranges).
type Owner struct{ UID, GID int }

// Single is the one id of a container, and what to type for more.
type Single struct {
	Owner
	Fix string
}

// RootFS says what becomes "/".
type RootFS struct {
	// Kind is Overlay (native), Fuse (the outside serves it with fuse-overlayfs) or Bind (--rootfs).
	Kind Kind
	// Lower are the layers, the topmost first, relative to Base: short, since the kernel takes one page of options, and
	// neutral, since the container reads them in its mountinfo.
	Lower []string
	Base  string
	// Dir holds upper and work; for Bind it is the root directory itself. Its path is not shown to the container.
	Dir      string
	ReadOnly bool
	// Look shows what is there without a change: upper is the topmost of the lower directories (Overlay).
	Look bool

	// Devices lets device files of the directory work (Bind).
	Devices bool
	// Propagation is MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE of "/", with MS_REC for all below it; 0 is private.
	Propagation uint64
	// Cut makes the mounts that were copied from the caller's namespace slaves first: without a new user namespace the kernel
	// leaves them shared, and what is mounted here would appear there.
	Cut bool
	// NoPivot moves the new root over the old one instead of pivot_root(2), which can't leave an initramfs.
	NoPivot bool
}

// Sysctl is one value below /proc/sys, by its dotted name.
type Sysctl struct {
	Key, Value string
	Default    bool // rl's own wish: a kernel that doesn't have it is no failure
}

// Kind is what is mounted.
type Kind string

// The kinds of Mount and RootFS.
const (
	Overlay Kind = "overlay"
	Fuse    Kind = "fuse"
	Bind    Kind = "bind" // Source is a path of the host
	New     Kind = "new"  // a new instance of the file system FS
	File    Kind = "file" // Source names an entry of Plan.Files
	Node    Kind = "node" // a device or FIFO, Mode and Device; bound from Source where the kernel refuses
	Link    Kind = "link" // a symlink at Target with the text Source; an existing entry stays
)

// Mount is one mount below the root.
type Mount struct {
	Kind        Kind
	FS          string
	Source      string
	Target      string // inside the root; symlinks of the image are followed inside the root
	Options     []sys.Option
	Attr        uint64 // MOUNT_ATTR_* that are set
	Clear       uint64 // MOUNT_ATTR_* that are cleared
	Recursive   bool   // Bind: with the mounts below Source; Attr applies to those, too
	Propagation uint64 // MS_PRIVATE, MS_SLAVE, MS_SHARED
	// Shallow: Attr and Clear are for the mount itself only. DeepAttr and DeepClear are for those below it, too.
	Shallow             bool
	DeepAttr, DeepClear uint64
	// Fallback is a path of the host that is bound, read-only, when the kernel refuses a new instance: a proc without a pid
	// namespace, a sysfs without a network namespace.
	Fallback string
	// KeepMode gives a new tmpfs the mode of the directory that it covers.
	KeepMode bool
	// NoLink refuses a symlink at Target: the paths that are masked below it would be those of another directory (CVE-2019-19921,
	// CVE-2023-27561).
	NoLink bool
	// OnLink covers a symlink at Target itself, not what it names.
	OnLink bool
	// Device is checked to be the source's (st_rdev) when it isn't 0; Mode and the ids are those of a device or FIFO that is made.
	Device   uint64
	Mode     uint32
	UID, GID int
	CopyUp   bool // a tmpfs starts with the content of the directory it covers (tmpcopyup)
	// Volume says that Source is one.
	Volume *Volume
	// IfDir leaves the mount out when the image has no directory for it.
	IfDir bool
	// Namespace is the descriptor of the mount namespace that Source is in: that of another container of this user namespace. 0 is
	// the caller's.
	Namespace int
	// Optional is the reason why the start goes on without this mount when the kernel refuses it.
	Optional string
}

// Process is what is executed, and as whom.
type Process struct {
	Args []string
	Env  []string
	Cwd  string
	// User is name|uid[:group|gid] as typed, resolved by the image's own passwd and group; "" is root.
	User   string
	Groups []string // further groups, by name or number
	// KeepGroups leaves the caller's supplementary groups, which setgroups(2) would drop for good.
	KeepGroups bool
	// NoGroups: setgroups is denied in this user namespace (user_namespaces(7), "/proc/PID/setgroups").
	NoGroups bool
	// Single says that only one id is mapped: another USER than that can't be had.
	Single *Single
	// Passwd is a line for /etc/passwd when the image has none for the user (--userns=keep-id).
	Passwd, Group string

	Caps       sys.Caps
	NoNewPrivs bool
	Seccomp    [][]byte // BPF programs, installed in order
	Rlimits    []Rlimit
	Terminal   bool
	Init       bool // rl's reaping stub is PID 1

	// What follows is for the OCI runtime (runtime-spec config.md, "process").

	// IDs are the user and the groups by number, instead of User and Groups; Caps are then taken as they are.
	IDs   *IDs
	Umask *uint32
	// Detached: the process lives on when the one that started it ends.
	Detached bool
	// Gate is the descriptor of a listening socket on which the word to go is waited for; 0 is the outside's own.
	Gate int
	// Preserve are descriptors that the program gets, from 3 on.
	Preserve []int
	// Notify is the descriptor of a connection to a seccomp agent, which gets the filter's listener with NotifyMessage; 0 is none.
	Notify        int
	NotifyMessage []byte
	SeccompFlags  uint
	// StartHooks are run as the program's user, last before it (runtime-spec config.md, "startContainer").
	StartHooks []sys.Hook
	// Label and Apparmor are written for the next execve: an SELinux context, an AppArmor profile.
	Label, Apparmor string
	ConsoleSize     *[2]uint16 // rows, columns
	Scheduling      sys.Scheduling
}

// IDs are the credentials of a process.
type IDs struct {
	UID, GID int
	Groups   []int
}

// Rlimit is one resource limit (setrlimit(2)). Clamp lowers it to the hard limit of the caller instead of failing.
type Rlimit struct {
	Name       string // RLIMIT_*, for messages
	Type       int
	Soft, Hard uint64
	Clamp      bool
}

// Failure is what went wrong inside, as it goes up the socket.
type Failure struct {
	Message string
	Hints   []string
	Code    int  // exit code for the user: 125, 126 or 127
	Refused bool // native overlay is refused here; another RootFS.Kind may do
}
