package unit

import (
	"slices"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// service is the unit: what the file has for systemd, and the commands.
func (c *container) service(file *File) (*File, error) {
	out := &File{}
	for _, s := range file.Sections {
		switch s.Name {
		case "Container", "Quadlet": // rl's own
		case "Unit":
			out.Section("Unit").Entries = ofServices(s.Entries)
		default:
			out.Section(s.Name).Entries = slices.Clone(s.Entries)
		}
	}
	out.Section("Unit").Add("SourcePath", c.path)
	s := out.Section("Service")
	if err := c.checkService(s); err != nil {
		return nil, err
	}
	kind := s.Last("Type").Value
	if kind == "" {
		kind = "exec"
		if c.Flag("sdnotify") {
			kind = "notify"
		}
		s.Add("Type", kind)
	}
	if s.Last("KillMode").Value == "" {
		s.Add("KillMode", "mixed")
	}
	if s.Last("SyslogIdentifier").Value == "" {
		s.Add("SyslogIdentifier", "%N")
	}
	if s.Last("SuccessExitStatus").Value == "" {
		s.Add("SuccessExitStatus", "143") // SIGTERM, which a stop sends
	}
	s.Add("ExecStart", Command(Quote, c.run...))
	s.Add("ExecStop", Command(Quote, c.Program, "stop", "--ignore", c.name))
	s.Add("ExecStopPost", "-"+Command(Quote, c.Program, "rm", "--force", "--volumes", "--ignore", c.name))
	return out, c.reload(s)
}

// checkService refuses what would take rl's commands away.
func (c *container) checkService(s *Section) error {
	for _, e := range s.Entries {
		switch {
		case slices.Contains([]string{"ExecStart", "ExecStop"}, e.Key):
			return hint.Errorf("Exec= in [Container] is what runs inside", "%s: %s= is made of [Container]", e.Source, e.Key)
		case e.Key == "Type" && !slices.Contains([]string{"notify", "oneshot", "exec", "simple"}, e.Value):
			return hint.Errorf("leave it out, or oneshot", "%s: Type=%s: a container is notify, exec or oneshot", e.Source, e.Value)
		case e.Key == "Type" && e.Value == "notify" && !c.Flag("sdnotify"):
			return hint.Errorf("leave it out", "%s: Type=notify: rl run has no --sdnotify", e.Source)
		case e.Key == "KillMode" && e.Value != "mixed" && e.Value != "control-group":
			return hint.Errorf("mixed or control-group", "%s: KillMode=%s would leave processes behind", e.Source, e.Value)
		}
	}
	if e := c.in.Last("Notify"); e.Value != "" {
		if on, ok := boolean(e.Value); on || !ok {
			return hint.Errorf("leave it out: the service has started when the program has", "%s: Notify=%s can't be honoured", e.Source, e.Value)
		}
	}
	return nil
}

func (c *container) reload(s *Section) error {
	command, signal := c.in.Last("ReloadCmd"), c.in.Last("ReloadSignal")
	switch {
	case command.Value != "" && signal.Value != "":
		return hint.Errorf("leave one of them out", "%s: ReloadCmd= and ReloadSignal= exclude each other", signal.Source)
	case signal.Value != "":
		s.Add("ExecReload", Command(Quote, c.Program, "kill", "--signal", signal.Value, c.name))
	case command.Value != "":
		words, err := Split(command.Value)
		if err != nil {
			return hint.Errorf(`sh -c "two words"`, "%s: ReloadCmd=: %w", command.Source, err)
		}
		s.Add("ExecReload", Command(Quote, append([]string{c.Program, "exec", c.name}, words...)...))
	}
	return nil
}

// ofServices names the services that are made of other .container files.
func ofServices(entries []Entry) []Entry {
	keys := strings.Fields("Wants Requires Requisite BindsTo PartOf Upholds Conflicts Before After")
	all := slices.Clone(entries)
	for i, e := range all {
		if !slices.Contains(keys, e.Key) {
			continue
		}
		units := strings.Fields(e.Value)
		for j, u := range units {
			if stem, ok := strings.CutSuffix(u, ".container"); ok {
				units[j] = stem + ".service"
			}
		}
		all[i].Value = strings.Join(units, " ")
	}
	return all
}
