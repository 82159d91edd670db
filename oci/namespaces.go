package oci

import (
	"fmt"
	"os"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/idmap"
	"github.com/rl-containers/rl/plan"
	"github.com/rl-containers/rl/sys"
	"github.com/rl-containers/rl/userns"
)

// order is that in which namespaces are entered: the user namespace gives the right to the others, the mount namespace goes last,
// since names are looked up in it.
func order() []specs.LinuxNamespaceType {
	return []specs.LinuxNamespaceType{specs.UserNamespace, specs.CgroupNamespace, specs.IPCNamespace, specs.UTSNamespace,
		specs.NetworkNamespace, specs.PIDNamespace, specs.TimeNamespace, specs.MountNamespace}
}

// isolate fills in the namespaces of the spec: the new ones, those by path, and the id maps.
func isolate(c *userns.Config, s *specs.Spec) (err error) {
	c.Namespaces = plan.NamespaceFlags(s)
	for _, t := range order() {
		for _, n := range s.Linux.Namespaces {
			if n.Type != t || n.Path == "" {
				continue
			}
			f, err := openNamespace(n)
			if err != nil {
				return err
			}
			c.Join = append(c.Join, f)
		}
	}
	c.Same = !plan.HasNew(s, specs.UserNamespace)
	joinsUser := hasNamespace(s, specs.UserNamespace) && c.Same
	// As crun does: a user who may not mount gets a user namespace of their own, and one without mappings the usual ones.
	added := c.Same && !joinsUser && !privileged()
	if added || !c.Same && len(s.Linux.UIDMappings)+len(s.Linux.GIDMappings) == 0 {
		c.Same = false
		c.Map, err = idmap.Mine("")
		return err
	}
	if !c.Same {
		c.Map, err = idmap.Given(ranges(s.Linux.UIDMappings), ranges(s.Linux.GIDMappings))
	}
	return err
}

func hasNamespace(s *specs.Spec, t specs.LinuxNamespaceType) bool {
	return slices.ContainsFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == t })
}

// privileged: the caller may mount in its own user namespace.
func privileged() bool {
	caps, err := sys.Effective()
	return err == nil && caps&(1<<unix.CAP_SYS_ADMIN) != 0
}

func ranges(all []specs.LinuxIDMapping) []idmap.Range {
	var rs []idmap.Range
	for _, m := range all {
		rs = append(rs, idmap.Range{Container: m.ContainerID, Host: m.HostID, Size: m.Size})
	}
	return rs
}

// openNamespace opens a namespace by its path and makes sure that it is one of that type.
func openNamespace(n specs.LinuxNamespace) (*os.File, error) {
	f, err := os.OpenFile(n.Path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", n.Type, err)
	}
	kind, err := unix.IoctlRetInt(int(f.Fd()), unix.NS_GET_NSTYPE)
	if err != nil || uintptr(kind) != plan.NamespaceFlag(n.Type) {
		f.Close()
		return nil, fmt.Errorf("namespace %s: %s is no namespace of this type", n.Type, n.Path)
	}
	return f, nil
}
