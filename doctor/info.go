package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/idmap"
)

// Info is what `rl info` prints: the facts of this installation, without judgement.
type Info struct {
	Version    VersionInfo `json:"version"`
	Host       HostInfo    `json:"host"`
	Store      StoreInfo   `json:"store"`
	Registries []string    `json:"registries"` // the configuration files that rule
}

// VersionInfo names what runs.
type VersionInfo struct {
	Version   string `json:"version"`
	GoVersion string `json:"goVersion"`
	OsArch    string `json:"osArch"`
}

// HostInfo is about the machine and the caller.
type HostInfo struct {
	Kernel       string      `json:"kernel"`
	Distribution string      `json:"distribution"`
	CPUs         int         `json:"cpus"`
	MemTotal     uint64      `json:"memTotal"` // bytes
	Rootless     bool        `json:"rootless"`
	Cgroup       string      `json:"cgroupVersion"` // v1, hybrid, v2, none
	IDMappings   IDMapInfo   `json:"idMappings"`
	Network      NetworkInfo `json:"network"`
}

// IDMapInfo is the mapping that the next run gets.
type IDMapInfo struct {
	Rung string        `json:"rung"`
	UIDs []idmap.Range `json:"uidmap"`
	GIDs []idmap.Range `json:"gidmap"`
	Note string        `json:"note,omitempty"`
}

// NetworkInfo are the paths of the helpers, "" where there is none.
type NetworkInfo struct {
	Slirp4netns string `json:"slirp4netns"`
	Pasta       string `json:"pasta"`
}

// StoreInfo is about what is on disk.
type StoreInfo struct {
	DataDir       string `json:"dataDir"`
	GraphRoot     string `json:"graphRoot"`
	Driver        string `json:"graphDriverName"`
	FuseOverlayfs string `json:"fuseOverlayfs"` // its path, "" where it is not installed
	FileSystem    string `json:"backingFilesystem"`
	Free          uint64 `json:"free"` // bytes for the caller
	Images        int    `json:"images"`
	Containers    int    `json:"containers"`
}

// Info collects the facts. Nothing is started and nothing tried.
func (h *Host) Info(version string) (*Info, error) {
	if h.StoreErr != nil {
		return nil, h.StoreErr
	}
	m, err := h.IDs.Map("")
	if err != nil {
		return nil, err
	}
	i := &Info{
		Version: VersionInfo{version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH},
		Host: HostInfo{Kernel: h.Release, Distribution: h.distribution(), CPUs: runtime.NumCPU(), Rootless: h.UID != 0, Cgroup: h.cgroupVersion(),
			IDMappings: IDMapInfo{m.Rung.String(), m.UIDs, m.GIDs, m.Note},
			Network:    NetworkInfo{h.program("slirp4netns"), h.program("pasta")}},
		Registries: h.registriesFiles(),
	}
	var sys unix.Sysinfo_t
	if unix.Sysinfo(&sys) == nil {
		i.Host.MemTotal = sys.Totalram * uint64(sys.Unit)
	}
	i.Store, err = h.storeInfo()
	return i, err
}

func (h *Host) storeInfo() (StoreInfo, error) {
	s := StoreInfo{DataDir: h.DataDir, GraphRoot: h.Store, Driver: "overlay", FuseOverlayfs: h.program("fuse-overlayfs")}
	var st unix.Statfs_t
	dir := h.existing(h.DataDir)
	if err := unix.Statfs(h.Root+dir, &st); err != nil {
		return s, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	s.FileSystem, _ = fsName(int64(st.Type))
	s.Free = st.Bavail * uint64(st.Bsize)
	var err1, err2 error
	s.Images, err1 = h.images()
	s.Containers, err2 = h.entries("containers")
	return s, errors.Join(err1, err2)
}

// images counts those of the store, whoever put them there.
func (h *Host) images() (int, error) {
	file := filepath.Join(h.Store, "overlay-images/images.json")
	b, err := os.ReadFile(h.Root + file)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	var list []struct{}
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil {
		return 0, fmt.Errorf("read the list of images %s: %w", file, err)
	}
	return len(list), nil
}

// entries counts what is in a directory of rl's data; names that begin with a dot are under way.
func (h *Host) entries(name string) (n int, err error) {
	list, err := os.ReadDir(h.Root + filepath.Join(h.DataDir, name))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	for _, e := range list {
		if !strings.HasPrefix(e.Name(), ".") {
			n++
		}
	}
	return n, err
}

func (h *Host) distribution() string {
	for line := range strings.Lines(h.read("/etc/os-release")) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(name, `"`)
		}
	}
	return ""
}

func (h *Host) cgroupVersion() string {
	const root = "/sys/fs/cgroup"
	switch {
	case h.exists(root + "/cgroup.controllers"):
		return "v2"
	case h.exists(root + "/unified/cgroup.controllers"):
		return "hybrid"
	case h.exists(root+"/memory") || h.exists(root+"/pids"):
		return "v1"
	}
	return "none"
}

// Text writes the facts for people, in the shape of podman's.
func (i *Info) Text(w io.Writer) error {
	h, s := &i.Host, &i.Store
	lines := [][2]string{
		{"version", i.Version.Version + " (" + i.Version.GoVersion + ", " + i.Version.OsArch + ")"},
		{"host", ""},
		{"  kernel", h.Kernel}, {"  distribution", h.Distribution},
		{"  cpus", fmt.Sprint(h.CPUs)}, {"  memTotal", size(h.MemTotal)},
		{"  rootless", fmt.Sprint(h.Rootless)}, {"  cgroupVersion", h.Cgroup},
		{"  idMappings", idmap.Map{UIDs: h.IDMappings.UIDs, GIDs: h.IDMappings.GIDs}.Lines() + " (" + h.IDMappings.Rung + ")"},
		{"  slirp4netns", h.Network.Slirp4netns}, {"  pasta", h.Network.Pasta},
		{"store", ""},
		{"  dataDir", s.DataDir}, {"  graphRoot", s.GraphRoot}, {"  graphDriverName", s.Driver}, {"  fuseOverlayfs", s.FuseOverlayfs},
		{"  backingFilesystem", s.FileSystem}, {"  free", size(s.Free)},
		{"  images", fmt.Sprint(s.Images)}, {"  containers", fmt.Sprint(s.Containers)},
		{"registries", strings.Join(i.Registries, ", ")},
	}
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(strings.TrimRight(l[0]+": "+hint.Clean(l[1]), " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
