package unit

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// Quadlet makes services of .container files.
type Quadlet struct {
	// Program is rl as a service calls it.
	Program string
	// Flag tells whether run has --NAME.
	Flag func(name string) bool
}

// Service is a unit that was made of another file.
type Service struct {
	Name string // web.service
	Text string
	// Install is that section, by which a generator enables the unit itself.
	Install *Section
}

// container is one file under way.
type container struct {
	*Quadlet
	path string
	name string // of the container
	run  []string
	in   *Section
}

// Container makes the service of a .container file, whose drop-ins in the same directory count.
func (q *Quadlet) Container(path string) (*Service, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if filepath.Ext(path) != ".container" {
		return nil, hint.Errorf("rl volume create, rl pull and the like make by hand what such files describe", "%s: rl understands .container files only", path)
	}
	file, err := readWhole(path)
	if err != nil {
		return nil, err
	}
	c := &container{Quadlet: q, path: path, in: file.Section("Container")}
	stem := strings.TrimSuffix(filepath.Base(path), ".container")
	service := cmp.Or(c.in.Last("ServiceName").Value, stem) + ".service"
	if err := c.command(stem); err != nil {
		return nil, err
	}
	out, err := c.service(file)
	if err != nil {
		return nil, err
	}
	return &Service{Name: service, Text: "# " + service + ", made by rl quadlet of " + path + "\n\n" + out.String(), Install: file.Section("Install")}, nil
}

// readWhole reads a file with its drop-ins: container.d, those of the beginnings of its name up to a dash, and its own; of one name the
// last counts (systemd.unit(5)).
func readWhole(path string) (*File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &File{}
	if err := f.Parse(path, string(text)); err != nil {
		return nil, err
	}
	dir, base := filepath.Split(path)
	dirs, stem := []string{"container.d"}, strings.TrimSuffix(base, ".container")
	for i, r := range stem {
		if r == '-' {
			dirs = append(dirs, stem[:i+1]+".container.d")
		}
	}
	if prefix, instance, ok := strings.Cut(stem, "@"); ok && instance != "" {
		dirs = append(dirs, prefix+"@.container.d")
	}
	drop := map[string]string{}
	for _, d := range append(dirs, base+".d") {
		entries, _ := os.ReadDir(dir + d)
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".conf") {
				drop[e.Name()] = dir + d + "/" + e.Name()
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(drop)) {
		text, err := os.ReadFile(drop[name])
		if err == nil {
			err = f.Parse(drop[name], string(text))
		}
		if err != nil {
			return nil, err
		}
	}
	return f, nil
}

// command makes the words of run.
func (c *container) command(stem string) error {
	c.name = c.in.Last("ContainerName").Value
	if c.name == "" {
		if c.name = "systemd-%N"; strings.Contains(stem, "@") {
			c.name = "systemd-%P_%I"
		}
	}
	c.run = []string{c.Program, "run", "--rm", "--replace", "--name=" + c.name}
	if c.Flag("sdnotify") {
		c.run = append(c.run, "--sdnotify=conmon")
	}
	for _, step := range []func() error{c.flags, c.user, c.devices, c.volumes, c.arguments, c.image} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// flags are those of keys, in the order of the file.
func (c *container) flags() error {
	all := keys()
	for i, e := range c.in.Entries {
		k, known := all[e.Key]
		switch {
		case !known && slices.Contains(others(), e.Key):
			continue
		case !known:
			return hint.Errorf(likely(e.Key, all), "%s: unknown key %s= of [Container]", e.Source, e.Key)
		case k.kind == refused:
			return hint.Errorf("leave it out: "+k.flag, "%s: %s= can't be honoured", e.Source, e.Key)
		case e.Value == "" || c.overruled(i, k.kind):
			continue
		}
		flag, _, _ := strings.Cut(k.flag, "=")
		if !c.Flag(flag) {
			return hint.Errorf("leave it out", "%s: %s= can't be honoured: rl run has no --%s", e.Source, e.Key, flag)
		}
		if e.Key == "Network" && (strings.HasSuffix(e.Value, ".network") || strings.HasSuffix(e.Value, ".container")) {
			return hint.Errorf("Network=slirp4netns, pasta, host, none or container:NAME", "%s: %s=%s: rl makes no networks of other files", e.Source, e.Key, e.Value)
		}
		if err := c.flag(k, e); err != nil {
			return err
		}
	}
	return nil
}

// overruled: a later entry of the key takes this one's place, or all of those before.
func (c *container) overruled(i int, k kind) bool {
	one := k == value || k == toggle || k == option
	return slices.ContainsFunc(c.in.Entries[i+1:], func(e Entry) bool { return e.Key == c.in.Entries[i].Key && (one || e.Value == "") })
}

// flag adds what one entry says.
func (c *container) flag(k key, e Entry) error {
	switch k.kind {
	case words:
		all, err := Split(e.Value)
		if err != nil {
			return hint.Errorf(`double quotes keep a value with blanks together: "KEY=two words"`, "%s: %s=: %w", e.Source, e.Key, err)
		}
		for _, w := range all {
			c.run = append(c.run, "--"+k.flag+"="+w)
		}
	case toggle:
		on, ok := boolean(e.Value)
		if !ok {
			return hint.Errorf("yes or no", "%s: %s=%s: neither yes nor no", e.Source, e.Key, e.Value)
		}
		if on {
			c.run = append(c.run, "--"+k.flag)
		} else {
			c.run = append(c.run, "--"+k.flag+"=false")
		}
	case option:
		flag, name, _ := strings.Cut(k.flag, "=")
		v := e.Value
		if on, ok := boolean(v); ok && e.Key == "NoNewPrivileges" {
			v = map[bool]string{true: "true", false: "false"}[on]
		}
		c.run = append(c.run, "--"+flag+"="+name+"="+v)
	case path:
		c.run = append(c.run, "--"+k.flag+"="+c.absolute(e.Value))
	default:
		c.run = append(c.run, "--"+k.flag+"="+e.Value)
	}
	return nil
}

// absolute is a path relative to the file; a specifier of systemd's at its beginning is left to that.
func (c *container) absolute(p string) string {
	if filepath.IsAbs(p) || strings.HasPrefix(p, "%") {
		return p
	}
	return filepath.Join(filepath.Dir(c.path), p)
}

func (c *container) user() error {
	user, group := c.in.Last("User"), c.in.Last("Group")
	switch {
	case user.Value == "" && group.Value == "":
	case user.Value == "":
		return hint.Errorf("User=0", "%s: Group= needs User=", group.Source)
	case group.Value == "":
		c.run = append(c.run, "--user="+user.Value)
	default:
		c.run = append(c.run, "--user="+user.Value+":"+group.Value)
	}
	return nil
}

// each are the values of a list, those before an empty one left out.
func (c *container) each(key string) []Entry {
	var all []Entry
	for _, e := range c.in.Entries {
		switch {
		case e.Key != key:
		case e.Value == "":
			all = nil
		default:
			all = append(all, e)
		}
	}
	return all
}

// devices: one with a dash before it is left out where it is missing.
func (c *container) devices() error {
	for _, e := range c.each("AddDevice") {
		v, optional := strings.CutPrefix(e.Value, "-")
		host, _, _ := strings.Cut(v, ":")
		if _, err := os.Stat(host); optional && err != nil {
			continue
		}
		c.run = append(c.run, "--device="+v)
	}
	return nil
}

func (c *container) volumes() error {
	for _, e := range c.each("Volume") {
		source, rest, found := strings.Cut(e.Value, ":")
		if found && strings.HasSuffix(source, ".volume") {
			return hint.Errorf("Volume="+strings.TrimSuffix(source, ".volume")+":"+rest+" is a volume that is made when it is missing", "%s: rl understands no .volume files", e.Source)
		}
		if found && strings.HasPrefix(source, ".") {
			source = c.absolute(source)
		}
		if found {
			source += ":" + rest
		}
		c.run = append(c.run, "--volume="+source)
	}
	return nil
}

// arguments are PodmanArgs, words of run as they are.
func (c *container) arguments() error {
	for _, e := range c.each("PodmanArgs") {
		all, err := Split(e.Value)
		if err != nil {
			return hint.Errorf("PodmanArgs=--flag=value", "%s: PodmanArgs=: %w", e.Source, err)
		}
		c.run = append(c.run, all...)
	}
	return nil
}

// image ends the command: the image and the program's words.
func (c *container) image() error {
	image, rootfs := c.in.Last("Image"), c.in.Last("Rootfs")
	switch {
	case image.Value != "" && rootfs.Value != "":
		return hint.Errorf("leave one of them out", "%s: Image= and Rootfs= exclude each other", rootfs.Source)
	case rootfs.Value != "":
		c.run = append(c.run, "--rootfs", c.absolute(rootfs.Value))
	case image.Value == "":
		return hint.Errorf("Image=docker.io/library/nginx", "%s: [Container] has no Image=", c.path)
	case strings.HasSuffix(image.Value, ".image") || strings.HasSuffix(image.Value, ".build"):
		return hint.Errorf("Image= with the name of an image; rl pull gets it beforehand", "%s: rl understands no .image and .build files", image.Source)
	default:
		c.run = append(c.run, image.Value)
	}
	exec := c.in.Last("Exec")
	all, err := Split(exec.Value)
	if err != nil {
		return hint.Errorf(`sh -c "two words"`, "%s: Exec=: %w", exec.Source, err)
	}
	c.run = append(c.run, all...)
	return nil
}

// boolean is systemd.syntax(7)'s.
func boolean(word string) (on, ok bool) {
	switch strings.ToLower(word) {
	case "1", "yes", "y", "true", "t", "on":
		return true, true
	case "0", "no", "n", "false", "f", "off":
		return false, true
	}
	return false, false
}

// likely is the known key that is nearest in letters.
func likely(word string, all map[string]key) string {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if strings.EqualFold(name, word) || len(word) > 3 && (strings.HasPrefix(name, word) || strings.HasPrefix(word, name)) {
			return "is " + name + "= meant?"
		}
	}
	for _, name := range others() {
		if strings.EqualFold(name, word) || len(word) > 3 && strings.HasPrefix(word, name) {
			return "is " + name + "= meant?"
		}
	}
	return "PodmanArgs= takes any flag of rl run; podman-systemd.unit(5) lists the keys"
}
