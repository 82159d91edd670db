package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/unit"
)

// generatorName is the name by which systemd calls rl as a generator of services (systemd.generator(7)).
const generatorName = "rl-user-generator"

// QuadletCmd is `rl quadlet`.
type QuadletCmd struct {
	Dryrun    bool     `aliases:"dry-run" help:"Print the services, and write nothing."`
	Output    string   `short:"o" placeholder:"DIR" help:"Directory to write them to; ~/.config/systemd/user without it."`
	User      bool     `help:"For the user's systemd, as always."`
	Generator bool     `help:"DIR… are those that systemd gives a generator: write to the first, and enable what has an [Install] section."`
	Paths     []string `arg:"" optional:"" name:"file" help:"A .container file, or a directory of such; without any those where podman looks."`
}

// Help tells what to do with it.
func (*QuadletCmd) Help() string {
	return "rl quadlet web.container && systemctl --user daemon-reload && systemctl --user start web.service\n\nWithout FILE it reads $QUADLET_UNIT_DIRS, or $XDG_RUNTIME_DIR/containers/systemd, ~/.config/containers/systemd, /etc/containers/systemd/users/UID and /etc/containers/systemd/users. By the name " + generatorName + " below /etc/systemd/user-generators rl makes them whenever the user's systemd starts; podman's generator, where it is installed, makes them for podman."
}

// Run makes the services. A file that is wrong keeps none of the others from it.
func (c *QuadletCmd) Run() error {
	q, err := newQuadlet()
	if err != nil {
		return err
	}
	dir, paths := c.Output, c.Paths
	if c.Generator {
		if len(c.Paths) == 0 {
			return hint.Errorf("systemd does", "quadlet: a generator is given the directory to write to")
		}
		dir, paths = c.Paths[0], nil
	} else if dir == "" && !c.Dryrun {
		if dir, err = userUnits(); err != nil {
			return err
		}
	}
	files, failed := quadletFiles(paths)
	for _, path := range files {
		s, err := q.Container(path)
		if err == nil {
			err = c.put(dir, s)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// put prints a service, or writes it.
func (c *QuadletCmd) put(dir string, s *unit.Service) error {
	if c.Dryrun {
		return printText("---" + s.Name + "---\n" + s.Text + "\n")
	}
	path, err := writeUnit(dir, s)
	if err != nil {
		return err
	}
	if c.Generator {
		return enable(dir, s)
	}
	fmt.Println(path)
	return nil
}

// newQuadlet knows the flags of run.
func newQuadlet() (*unit.Quadlet, error) {
	program, err := ownPath()
	if err != nil {
		return nil, err
	}
	c := new(RunCmd)
	parser, err := (&verb{name: "run"}).parser(c)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, f := range parser.Model.Flags {
		names[f.Name] = true
		for _, a := range f.Aliases {
			names[a] = true
		}
	}
	return &unit.Quadlet{Program: program, Flag: func(name string) bool { return names[name] }}, nil
}

// quadletFiles are the files that are meant: those named, those in directories, or all where podman looks. Of one name the first counts.
func quadletFiles(paths []string) (files []string, failed []error) {
	named := len(paths) > 0
	if !named {
		paths = quadletDirs()
	}
	seen := map[string]bool{}
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err != nil && named:
			failed = append(failed, fmt.Errorf("quadlet: %w", err))
		case err != nil:
		case !info.IsDir():
			files = append(files, path)
		default:
			in, err := containerFiles(path)
			failed = append(failed, err)
			for _, f := range in {
				if name := filepath.Base(f); !seen[name] {
					seen[name] = true
					files = append(files, f)
				}
			}
		}
	}
	return files, failed
}

// containerFiles are those below a directory. One of another kind that Quadlet knows is an error: what was to be made of it would miss.
func containerFiles(dir string) (files []string, err error) {
	var failed []error
	others := strings.Fields(".volume .network .kube .pod .image .build")
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch ext := filepath.Ext(path); {
		case err != nil:
			return err
		case d.IsDir() && path != dir && strings.HasSuffix(path, ".d"):
			return fs.SkipDir
		case d.IsDir():
		case ext == ".container":
			files = append(files, path)
		case slices.Contains(others, ext):
			failed = append(failed, hint.Errorf("rl understands .container files", "%s: not made into a service", path))
		}
		return nil
	})
	return files, errors.Join(append(failed, err)...)
}

// quadletDirs are where podman looks for the files of a user (podman-systemd.unit(5)).
func quadletDirs() []string {
	if dirs := os.Getenv("QUADLET_UNIT_DIRS"); dirs != "" {
		return filepath.SplitList(dirs)
	}
	var all []string
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		all = append(all, filepath.Join(dir, "containers/systemd"))
	}
	if config, err := os.UserConfigDir(); err == nil {
		all = append(all, filepath.Join(config, "containers/systemd"))
	}
	const admin = "/etc/containers/systemd/users"
	all = append(all, filepath.Join(admin, strconv.Itoa(os.Getuid())))
	return append(all, admin)
}
