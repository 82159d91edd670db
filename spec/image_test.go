package spec

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/rl-containers/rl/hint"
)

func image() Image {
	return Image{Config: ImageConfig{Entrypoint: []string{"/entry"}, Cmd: []string{"cmd"}, User: "alice", WorkingDir: "/work",
		Env:    []string{"PATH=/bin", "A=image", "HOST_SECRET", "*", "=x"},
		Labels: map[string]string{"of": "image"}, StopSignal: "SIGUSR1"}}
}

func compile(t *testing.T, img Image, o Options) *Container {
	t.Helper()
	c, err := FromImage(img, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestArgs(t *testing.T) {
	word := func(s string) *string { return &s }
	for _, c := range []struct {
		entrypoint *string
		args       []string
		want       string
	}{
		{nil, nil, "/entry cmd"},
		{nil, []string{"a", "b"}, "/entry a b"},
		{word("e"), nil, "e"},
		{word("e"), []string{"a"}, "e a"},
		{word(""), []string{"a"}, "a"},
		{word(`["x","y z"]`), []string{"a"}, "x y z a"},
		{word(`["x"`), nil, "! --entrypoint"},
		{word(""), nil, "! no command"},
	} {
		got, err := FromImage(image(), Options{Entrypoint: c.entrypoint, Args: c.args})
		if want, fails := strings.CutPrefix(c.want, "! "); fails {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %v, want %q", c, err, want)
			}
		} else if err != nil || strings.Join(got.Spec.Process.Args, " ") != c.want {
			t.Errorf("%v: %v %v", c, got, err)
		}
	}
}

func TestEnv(t *testing.T) {
	t.Setenv("HOST_SECRET", "s")
	t.Setenv("HOST_TWO", "2")
	file := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(file, []byte("\ufeff# c\n\n A=file\nB=\"as it stands\" \r\nHOST_TWO\nUNSET_BY_TEST\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := compile(t, image(), Options{EnvFiles: []string{file}, Env: []string{"C=1", "C=2", "NOT_SET_ANYWHERE", "HOST_T*"}}).Spec.Process.Env
	want := []string{"PATH=/bin", "container=rl", "A=file", `B="as it stands" `, "HOST_TWO=2", "C=2"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if tty := compile(t, image(), Options{TTY: true}).Spec.Process.Env; !slices.Contains(tty, "TERM=xterm") {
		t.Errorf("no TERM in %q", tty)
	}
}

func TestCapabilities(t *testing.T) {
	for _, c := range []struct {
		add, drop []string
		want      string
	}{
		{nil, nil, "CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT"},
		{[]string{"net_raw,sys_admin"}, []string{"ALL"}, "NET_RAW SYS_ADMIN"},
		{[]string{"CAP_KILL"}, []string{"all"}, "KILL"},
		{nil, []string{"chown", "DAC_OVERRIDE,FOWNER,FSETID,KILL,NET_BIND_SERVICE,SETFCAP,SETGID,SETPCAP,SETUID"}, "SYS_CHROOT"},
	} {
		got := compile(t, image(), Options{CapAdd: c.add, CapDrop: c.drop}).Spec.Process.Capabilities
		if names := strings.ReplaceAll(strings.Join(got.Bounding, " "), "CAP_", ""); names != c.want {
			t.Errorf("add %v drop %v: %s", c.add, c.drop, names)
		}
	}
	if n := len(compile(t, image(), Options{CapAdd: []string{"ALL"}, CapDrop: []string{"BPF"}}).Spec.Process.Capabilities.Bounding); n != 40 {
		t.Errorf("all but one are %d", n)
	}
}

// Each of these is refused with an error that names what was typed.
func TestRefused(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]Options{
		"relative":       {Workdir: "relative"},
		"=value":         {Env: []string{"=value"}},
		"missing":        {EnvFiles: []string{"missing"}},
		"NONSENSE":       {CapAdd: []string{"NONSENSE"}},
		"CAP_KILL":       {CapAdd: []string{"KILL"}, CapDrop: []string{"KILL"}},
		"contradict":     {CapAdd: []string{"ALL"}, CapDrop: []string{"ALL"}},
		"label=x":        {SecurityOpt: []string{"label=x"}},
		"nonsense":       {SecurityOpt: []string{"nonsense"}},
		"maybe":          {SecurityOpt: []string{"no-new-privileges=maybe"}},
		"mask=rel":       {SecurityOpt: []string{"mask=rel"}},
		"nofile=2:1":     {Ulimits: []string{"nofile=2:1"}},
		"what=1":         {Ulimits: []string{"what=1"}},
		"nproc=many":     {Ulimits: []string{"nproc=many"}},
		"kernel.panic":   {Sysctls: []string{"kernel.panic=1"}},
		"machine's":      {Sysctls: []string{"net.a=1"}, HostNetwork: true},
		"novalue":        {Sysctls: []string{"novalue"}},
		"keep-groups":    {GroupAdd: []string{"keep-groups", "5"}},
		"new\\nline":     {Hostname: "new\nline"},
		"--uts host":     {Hostname: "a", UTS: "host"},
		"elsewhere":      {PID: "elsewhere"},
		"SIGNONE":        {StopSignal: "SIGNONE"},
		"65":             {StopSignal: "65"},
		"-v a":           {Volumes: []string{"a"}},
		"a b":            {Volumes: []string{"a b:/a"}},
		"plugins":        {Mounts: []string{"type=volume,src=a,dst=/x,volume-driver=nfs"}},
		"subpath":        {Mounts: []string{"type=volume,src=a,dst=/x,volume-subpath=y"}},
		"image-volume":   {ImageVolume: "strange"},
		"-v :/a":         {Volumes: []string{":/a"}},
		"-v ./a:":        {Volumes: []string{"./a:"}},
		"unknown option": {Volumes: []string{"named:/a:wrong"}},
		"root directory": {Volumes: []string{"/a:/x/.."}},
		"wrong":          {Volumes: []string{"/a:/b:wrong"}},
		"twice":          {Volumes: []string{"/a:/b"}, Tmpfs: []string{"/b"}},
		"strange":        {Mounts: []string{"type=strange,dst=/x"}},
		"src and dst":    {Mounts: []string{"type=bind,dst=/x"}},
		"colour":         {Mounts: []string{"type=bind,src=/a,dst=/x,colour=red"}},
		"upwards":        {Mounts: []string{"type=bind,src=/a,dst=/x,bind-propagation=upwards"}},
		"lots":           {Tmpfs: []string{"/t:size=lots"}},
		"mode=9":         {Tmpfs: []string{"/t:mode=9"}},
		"big":            {ShmSize: "big"},
		"vendor.com":     {Devices: []string{"vendor.com/gpu=0"}},
		plain:            {Devices: []string{plain}},
		"/dev/nothere":   {Devices: []string{"/dev/nothere"}},
		"rights \"r\"":   {Devices: []string{"/dev/null:/dev/x:r"}},
		"\"x\"":          {Devices: []string{"/dev/null:/dev/x:x"}},
	} {
		_, err := FromImage(image(), o)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}

func find(t *testing.T, c *Container, target string) specs.Mount {
	t.Helper()
	for _, m := range c.Spec.Mounts {
		if m.Destination == target {
			return m
		}
	}
	t.Fatalf("no mount on %s", target)
	return specs.Mount{}
}

func TestMounts(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	c := compile(t, image(), Options{ReadOnly: true, Tmpfs: []string{"/tmp:size=1m,exec"},
		Volumes: []string{"./a/b:/deep/er/:ro,rslave", "/x:/v:z,suid"}, Mounts: []string{`type=bind,"src=/a,b",dst=/m,readonly,bind-nonrecursive`},
		Devices: []string{"/dev/null:/dev/blank"}})
	for _, want := range []specs.Mount{
		{Destination: "/deep/er", Type: "bind", Source: dir + "/a/b", Options: []string{"nosuid", "nodev", "ro", "rslave", "rbind"}},
		{Destination: "/v", Type: "bind", Source: "/x", Options: []string{"nodev", "rbind"}},
		{Destination: "/m", Type: "bind", Source: "/a,b", Options: []string{"nosuid", "nodev", "ro", "bind"}},
		{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "tmpcopyup", "size=1m"}},
		{Destination: "/dev/blank", Type: "bind", Source: "/dev/null", Options: []string{"nosuid", "noexec", "rbind"}},
	} {
		if got := find(t, c, want.Destination); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "SELinux") {
		t.Errorf("warnings %q", c.Warnings)
	}
	seen := map[string]bool{}
	for _, m := range c.Spec.Mounts {
		if seen[m.Destination] {
			t.Errorf("%s twice", m.Destination)
		}
		seen[m.Destination] = true
	}
}

func TestSharedNamespaces(t *testing.T) {
	c := compile(t, image(), Options{PID: "host", IPC: "host", UTS: "host", HostNetwork: true})
	var kinds []string
	for _, n := range c.Spec.Linux.Namespaces {
		kinds = append(kinds, string(n.Type))
	}
	if !slices.Equal(kinds, []string{"user", "mount", "cgroup"}) {
		t.Error(kinds)
	}
	for _, target := range []string{"/proc", "/sys", "/dev/shm"} {
		if m := find(t, c, target); m.Type != "bind" {
			t.Errorf("%+v", m)
		}
	}
	if !slices.Contains(find(t, c, "/sys").Options, "ro") {
		t.Error("the host's /sys is writable")
	}
}

func TestSecurity(t *testing.T) {
	c := compile(t, image(), Options{})
	if !c.Spec.Process.NoNewPrivileges || c.Seccomp != "" || !slices.Contains(c.Spec.Linux.MaskedPaths, "/proc/kcore") {
		t.Errorf("%+v", c)
	}
	c = compile(t, image(), Options{SecurityOpt: []string{"no-new-privileges:false", "seccomp=/p.json", "unmask=/proc/a*:/sys/firmware", "mask=/x:/y"}})
	masked := c.Spec.Linux.MaskedPaths
	if c.Spec.Process.NoNewPrivileges || c.Seccomp != "/p.json" || slices.Contains(masked, "/sys/firmware") || slices.Contains(masked, "/proc/acpi") || !slices.Contains(masked, "/y") {
		t.Errorf("%+v", c)
	}
	c = compile(t, image(), Options{Privileged: true})
	if c.Spec.Process.NoNewPrivileges || c.Seccomp != "unconfined" || len(c.Spec.Linux.MaskedPaths) != 0 || len(c.Spec.Process.Capabilities.Bounding) != 41 {
		t.Errorf("%+v", c)
	}
}

func TestForeignMachine(t *testing.T) {
	img := image()
	img.Architecture = "s390x"
	if w := compile(t, img, Options{}).Warnings; len(w) != 1 || !strings.Contains(w[0], "s390x") {
		t.Error(w)
	}
	img = image()
	img.Config.Env = []string{"A=\x00"}
	if _, err := FromImage(img, Options{}); err == nil {
		t.Error("NUL accepted")
	}
}

// No text in a flag crashes the parsers, or gets a mount to a place that isn't absolute and clean.
func FuzzFlags(f *testing.F) {
	for _, s := range []string{"/a:/b:ro,z", "type=bind,src=/a,dst=/b", "/t:size=1m,mode=1777", "/dev/null:/dev/x:rwm", "nofile=1:2", "net.a=b", "", ":", "a:b:c:d", `type=tmpfs,"dst=/x`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, o := range []Options{{Volumes: []string{s}}, {Mounts: []string{s}}, {Tmpfs: []string{s}}, {Devices: []string{s}},
			{Ulimits: []string{s}}, {Sysctls: []string{s}}, {SecurityOpt: []string{s}}, {CapAdd: []string{s}}, {Entrypoint: &s}, {Env: []string{s}}} {
			c, err := FromImage(image(), o)
			if err != nil {
				if hint.Clean(err.Error()) == "" {
					t.Error("an error without words")
				}
				continue
			}
			for _, m := range c.Spec.Mounts {
				if m.Destination != filepath.Clean(m.Destination) || m.Destination[0] != '/' || m.Destination == "/" {
					t.Errorf("%q: mount on %q", s, m.Destination)
				}
			}
		}
	})
}

func TestCapSet(t *testing.T) {
	set, unknown := CapSet([]string{"CAP_CHOWN", "CAP_CHECKPOINT_RESTORE", "CAP_NO"})
	if set != 1|1<<40 || len(unknown) != 1 || unknown[0] != "CAP_NO" {
		t.Errorf("%x %v", set, unknown)
	}
	if n := CapNames(); len(n) != 41 || n[21] != "CAP_SYS_ADMIN" {
		t.Errorf("%d names, 21 is %s", len(n), n[21])
	}
}

// TestVolumes: who wins where several want the same place, and what is kept of a volume.
func TestVolumes(t *testing.T) {
	img := image()
	img.Config.Volumes = map[string]struct{}{"/of/image": {}, "flag/": {}, "/bound": {}, "/proc/x": {}, "/": {}}
	other := compile(t, Image{}, Options{Args: []string{"x"}, Volumes: []string{"shared:/shared", "theirs:/flag", "/host:/theirs", "/anon"}})
	if err := other.NameVolumes(func() (string, error) { return "n", nil }); err != nil {
		t.Fatal(err)
	}
	c := compile(t, img, Options{Volumes: []string{"named:/flag:ro,nocopy", "./here:/bound"}, Mounts: []string{"type=volume,src=m,dst=/m,volume-opt=type=tmpfs,U"},
		Inherited: []Inherited{other.Shared(true)}})
	var got []string
	for _, v := range c.Volumes {
		got = append(got, v.Name+":"+v.Destination)
	}
	slices.Sort(got)
	if want := []string{":/of/image", "m:/m", "n:/anon", "named:/flag", "shared:/shared"}; !slices.Equal(got, want) {
		t.Errorf("volumes %v, want %v", got, want)
	}
	if len(c.Warnings) != 2 {
		t.Errorf("warnings: %v", c.Warnings)
	}
	for _, m := range c.Spec.Mounts {
		if m.Destination == "/shared" && (m.Type != VolumeType || m.Source != "shared" || m.Options[len(m.Options)-1] != "ro") {
			t.Errorf("inherited: %+v", m)
		}
		if m.Destination == "/theirs" && (m.Type != "bind" || m.Source != "/host") {
			t.Errorf("inherited: %+v", m)
		}
	}
	if v := c.Volumes[0]; !v.NoCopy || v.Anonymous {
		t.Errorf("%+v", v)
	}
}
