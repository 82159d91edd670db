package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/session"
	"github.com/rl-containers/rl/unit"
)

// GenerateSystemdCmd is `rl generate systemd`.
type GenerateSystemdCmd struct {
	Name            bool     `short:"n" help:"Name the service, and the container in it, by the container's name instead of its id."`
	Files           bool     `short:"f" help:"Write NAME.service into this directory and print its path."`
	New             bool     `help:"The service makes a new container each time, as this one was made, and removes it at its end."`
	NoHeader        bool     `help:"No comment on what made it."`
	Format          string   `placeholder:"json" help:"json: an object of names and texts; with --files of names and paths."`
	RestartPolicy   string   `placeholder:"POLICY" help:"When systemd starts it again: no, on-success, on-failure (default), always… Not for a container with a --restart of its own."`
	RestartSec      *int     `placeholder:"SECONDS" help:"How long systemd waits before that."`
	StopTimeout     *int     `short:"t" aliases:"time" placeholder:"SECONDS" help:"How long a stop waits before it kills; without it the container's."`
	StartTimeout    *int     `placeholder:"SECONDS" help:"How long systemd waits for the start."`
	ContainerPrefix string   `default:"container" placeholder:"WORD" help:"What the service's name begins with (${default})."`
	Separator       string   `default:"-" placeholder:"WORD" help:"What stands behind that (${default})."`
	After           []string `sep:"none" placeholder:"UNIT" help:"Start it after another unit."`
	Wants           []string `sep:"none" placeholder:"UNIT" help:"Start another unit with it."`
	Requires        []string `sep:"none" placeholder:"UNIT" help:"The same, and fail with it."`
	Env             []string `short:"e" sep:"none" placeholder:"KEY=VALUE" help:"Variable of rl in the service."`
	Containers      []string `arg:"" name:"container" help:"Name, id, or the unique beginning of an id."`
}

// Help tells what to do with it.
func (*GenerateSystemdCmd) Help() string {
	return "rl generate systemd --new --files --name web && mv container-web.service ~/.config/systemd/user/\nsystemctl --user daemon-reload && systemctl --user enable --now container-web.service\nloginctl enable-linger    (services of users start at boot only then)"
}

// Run prints the services, or writes them.
func (c *GenerateSystemdCmd) Run() error {
	if c.Format != "" && c.Format != "json" {
		return hint.Errorf("--format json", "generate systemd: --format %s: unknown", c.Format)
	}
	all := map[string]string{}
	for _, word := range c.Containers {
		s, err := c.service(word)
		if err != nil {
			return err
		}
		if c.Files {
			if s.Text, err = writeUnit(".", s); err != nil {
				return err
			}
		}
		if all[s.Name] = s.Text; c.Format == "" {
			if err := printText(strings.TrimSuffix(s.Text, "\n") + "\n"); err != nil {
				return err
			}
		}
	}
	if c.Format == "json" {
		return printJSON(all)
	}
	return nil
}

func (c *GenerateSystemdCmd) service(word string) (*unit.Service, error) {
	by, err := container.FindCreated(word)
	if err != nil {
		return nil, err
	}
	program, err := ownPath()
	if err != nil {
		return nil, err
	}
	req := container.UnitRequest{Program: program, UseName: c.Name, Prefix: c.ContainerPrefix, Separator: c.Separator, RestartPolicy: c.RestartPolicy,
		RestartSec: c.RestartSec, StopTimeout: c.StopTimeout, StartTimeout: c.StartTimeout, After: c.After, Wants: c.Wants, Requires: c.Requires,
		Env: c.Env, Header: !c.NoHeader}
	if c.New {
		if req.Run, req.Dir, err = again(by); err != nil {
			return nil, err
		}
	} else if by.Restart != "" && c.RestartPolicy != "" {
		return nil, hint.Errorf("leave it out, or make the container without --restart", "generate systemd: --restart-policy: container %s has --restart %s, and is started again by rl", by.Name, by.Restart)
	}
	return container.Unit(by, req)
}

// again are the words of run that make such a container once more, and the directory in which they mean what they did.
func again(by *container.CreatedBy) (words []string, dir string, err error) {
	if len(by.Typed) == 0 {
		return nil, "", hint.Errorf("rl generate systemd without --new", "generate systemd: --new: it isn't known how container %s was made", by.Name)
	}
	c := new(RunCmd)
	if !readPlain(c, by.Typed) {
		c = new(RunCmd)
		v := verb{name: "run", command: func() command { return c }}
		parser, err := v.parser(c)
		if err != nil {
			return nil, "", err
		}
		if _, err := parser.Parse(longForms(by.Typed, parser.Model.Flags)); err != nil {
			return nil, "", fmt.Errorf("generate systemd: --new: how container %s was made: %w", by.Name, err)
		}
	}
	// What the service is for, or can't have: a terminal's input, a policy beside systemd's.
	c.Rm, c.Name, c.Replace, c.CIDFile, c.Restart, c.Interactive, c.Lifetime, c.Sdnotify = false, "", false, "", "no", false, "", ""
	c.Env = valued(c.Env, by.Env)
	if relative(&c.CreateFlags) {
		dir = by.Dir
	}
	return append(flagWords(reflect.ValueOf(c.CreateFlags)), c.Command...), dir, nil
}

// valued gives variables that were the caller's the value that they had.
func valued(typed, had []string) []string {
	var all []string
	for _, e := range typed {
		if strings.Contains(e, "=") {
			all = append(all, e)
			continue
		}
		if i := slices.IndexFunc(had, func(h string) bool { return strings.HasPrefix(h, e+"=") }); i >= 0 {
			all = append(all, had[i])
		}
	}
	return all
}

// relative: some path depends on the working directory.
func relative(c *CreateFlags) bool {
	paths := slices.Clone(c.EnvFile)
	for _, v := range c.Volume {
		if strings.HasPrefix(v, ".") {
			paths = append(paths, v)
		}
	}
	for _, o := range c.SecurityOpt {
		if file, ok := strings.CutPrefix(o, "seccomp="); ok && file != "unconfined" {
			paths = append(paths, file)
		}
	}
	if c.Rootfs && len(c.Command) > 0 {
		paths = append(paths, c.Command[0])
	}
	return slices.ContainsFunc(paths, func(p string) bool { return !filepath.IsAbs(p) })
}

// flagWords are the flags of a command as set, those left out that are as they are without.
func flagWords(v reflect.Value) []string {
	var out []string
	for i := range v.NumField() {
		f, field := v.Type().Field(i), v.Field(i)
		if _, arg := f.Tag.Lookup("arg"); arg {
			continue
		}
		if f.Anonymous {
			out = append(out, flagWords(field)...)
			continue
		}
		name := f.Tag.Get("name")
		if name == "" {
			name = dashed(f.Name)
		}
		out = append(out, flagWord("--"+name, f.Tag.Get("default"), field)...)
	}
	return out
}

func flagWord(name, preset string, field reflect.Value) []string {
	switch value := field.Interface().(type) {
	case bool:
		switch {
		case strconv.FormatBool(value) == preset, !value && preset == "":
		case value:
			return []string{name}
		default:
			return []string{name + "=false"}
		}
	case []string:
		var out []string
		for _, one := range value {
			out = append(out, name+"="+one)
		}
		return out
	case *string:
		if value != nil {
			return []string{name + "=" + *value}
		}
	default:
		if text := fmt.Sprint(value); text != preset && !field.IsZero() {
			return []string{name + "=" + text}
		}
	}
	return nil
}

// ownPath is where this rl lies, for who calls it later.
func ownPath() (string, error) {
	path, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return "", fmt.Errorf("find rl: %w", err)
	}
	return path, nil
}

// writeUnit writes a service into a directory: whole, or not at all. The result is its path.
func writeUnit(dir string, s *unit.Service) (string, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return "", fmt.Errorf("write %s: %w", s.Name, err)
	}
	path := filepath.Join(dir, s.Name)
	// 0600: --env has secrets in it.
	if err := os.WriteFile(path+".new", []byte(s.Text), 0o600); err != nil {
		return "", fmt.Errorf("write unit: %w", err)
	}
	return path, os.Rename(path+".new", path)
}

// enable makes the links that systemctl enable makes of an [Install] section.
func enable(dir string, s *unit.Service) error {
	name := s.Name
	if instance := s.Install.Last("DefaultInstance").Value; strings.Contains(name, "@.") {
		if instance == "" {
			return nil
		}
		name = strings.Replace(name, "@.", "@"+instance+".", 1)
	}
	var failed []error
	for _, e := range s.Install.Entries {
		suffix := map[string]string{"WantedBy": ".wants", "RequiredBy": ".requires", "UpheldBy": ".upholds"}[e.Key]
		for _, other := range strings.Fields(e.Value) {
			switch {
			case strings.Contains(other, "/"):
			case suffix != "":
				failed = append(failed, relink(filepath.Join(dir, other+suffix, name), "../"+s.Name))
			case e.Key == "Alias":
				failed = append(failed, relink(filepath.Join(dir, other), s.Name))
			}
		}
	}
	return errors.Join(failed...)
}

func relink(path, to string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Symlink(to, path)
}

// userUnits is where systemd looks for the units that a user writes (systemd.unit(5)).
func userUnits() (string, error) {
	config, err := os.UserConfigDir()
	if err != nil {
		return "", hint.Errorf("export HOME", "find ~/.config/systemd/user: %w", err)
	}
	return filepath.Join(config, "systemd/user"), nil
}

// StartOnBootCmd is `rl system start-on-boot`.
type StartOnBootCmd struct {
	Off   bool `help:"Take it back."`
	Print bool `help:"Print the unit, and change nothing."`
}

// Help tells what it is.
func (*StartOnBootCmd) Help() string {
	return "Writes a user unit and enables it. When the machine starts, or at your first login where you don't linger, it starts the containers with --restart=always, and those with --restart=unless-stopped that nobody stopped; before the machine goes down it stops them in order."
}

// Run writes the unit, or removes it.
func (c *StartOnBootCmd) Run() error {
	program, err := ownPath()
	if err != nil {
		return err
	}
	s := container.BootUnit(program)
	if c.Print {
		return printText(s.Text)
	}
	dir, err := userUnits()
	if err != nil {
		return err
	}
	if c.Off {
		return turnOff(dir, s.Name)
	}
	path, err := writeUnit(dir, s)
	if err == nil {
		err = enable(dir, s)
	}
	if err != nil {
		return err
	}
	fmt.Println(path)
	if _, fix := session.Here().Doom(session.Place{Kind: session.Manager}); fix != "" && hint.Tells(hint.LevelWarn) {
		fmt.Fprintf(os.Stderr, "rl: note: until you linger it starts at your first login, not when the machine does: %s\n", fix)
	}
	return nil
}

func turnOff(dir, name string) error {
	var failed []error
	for _, path := range []string{name, "default.target.wants/" + name} {
		if err := os.Remove(filepath.Join(dir, path)); err != nil && !errors.Is(err, os.ErrNotExist) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}
