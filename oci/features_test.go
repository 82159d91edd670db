package oci

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/plan"
)

func TestFeatures(t *testing.T) {
	text, err := json.Marshal(Features("1.2.3"))
	if err != nil {
		t.Fatal(err)
	}
	var f features.Features
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	if f.OCIVersionMin != "1.0.0" || f.OCIVersionMax != specs.Version {
		t.Errorf("versions %s to %s", f.OCIVersionMin, f.OCIVersionMax)
	}
	if f.Annotations[versionKey] != "1.2.3" {
		t.Errorf("annotations %v", f.Annotations)
	}
	for name, list := range map[string]struct {
		got  []string
		len  int
		some string
	}{
		"hooks":         {f.Hooks, 6, "createContainer"},
		"mount options": {f.MountOptions, 0, "rnosuid"},
		"namespaces":    {f.Linux.Namespaces, 8, "time"},
		"capabilities":  {f.Linux.Capabilities, 41, "CAP_SYS_ADMIN"},
		"actions":       {f.Linux.Seccomp.Actions, 9, "SCMP_ACT_NOTIFY"},
		"operators":     {f.Linux.Seccomp.Operators, 7, "SCMP_CMP_MASKED_EQ"},
		"archs":         {f.Linux.Seccomp.Archs, 0, "SCMP_ARCH_X86_64"},
		"known flags":   {f.Linux.Seccomp.KnownFlags, 4, "SECCOMP_FILTER_FLAG_LOG"},
		"flags":         {f.Linux.Seccomp.SupportedFlags, 0, "SECCOMP_FILTER_FLAG_LOG"},
	} {
		if !slices.Contains(list.got, list.some) || list.len != 0 && len(list.got) != list.len {
			t.Errorf("%s: %q", name, list.got)
		}
		sorted := slices.Clone(list.got)
		slices.Sort(sorted)
		if len(slices.Compact(sorted)) != len(list.got) {
			t.Errorf("%s: one comes twice: %q", name, list.got)
		}
	}
}

// TestMountOptions: what is listed is not taken for an option of the file system, but for those that fsconfig(2) knows for all.
func TestMountOptions(t *testing.T) {
	for _, word := range Features("").MountOptions {
		mount := specs.Mount{Destination: "/m", Type: "tmpfs", Source: "/", Options: []string{word}}
		p, err := plan.Compile(&specs.Spec{Mounts: []specs.Mount{mount}, Linux: &specs.Linux{}}, idmap.Map{}, plan.Options{Exact: true})
		if err != nil {
			t.Errorf("%s: %v", word, err)
			continue
		}
		for _, m := range p.Mounts {
			for _, o := range m.Options {
				switch o.Key {
				case "source", "sync", "dirsync", "lazytime", "nolazytime", "mand", "nomand": // vfs_parse_sb_flag (fs/fs_context.c)
				default:
					t.Errorf("%s goes to the file system", o.Key)
				}
			}
		}
	}
}

// TestSpec: the values that runc's has, as the tools that edit it expect.
func TestSpec(t *testing.T) {
	s := Spec(false)
	if s.Version != specs.Version || s.Root.Path != "rootfs" || !s.Root.Readonly || !s.Process.NoNewPrivileges || len(s.Mounts) != 7 {
		t.Errorf("%+v", s)
	}
	if len(s.Linux.UIDMappings) != 0 || has(s, specs.UserNamespace) || !has(s, specs.NetworkNamespace) {
		t.Errorf("namespaces %v, uidMappings %v", s.Linux.Namespaces, s.Linux.UIDMappings)
	}
}

func TestSpecRootless(t *testing.T) {
	s := Spec(true)
	if want := []specs.LinuxIDMapping{{HostID: uint32(os.Geteuid()), Size: 1}}; !slices.Equal(s.Linux.UIDMappings, want) {
		t.Errorf("uidMappings %v, want %v", s.Linux.UIDMappings, want)
	}
	if !has(s, specs.UserNamespace) || has(s, specs.NetworkNamespace) || s.Linux.Resources != nil {
		t.Errorf("%+v", s.Linux)
	}
	for _, m := range s.Mounts {
		if slices.Contains(m.Options, "gid=5") || m.Destination == "/sys" && !slices.Contains(m.Options, "rbind") {
			t.Errorf("%+v", m)
		}
	}
}

func has(s *specs.Spec, kind specs.LinuxNamespaceType) bool {
	return slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == kind })
}
