package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// PsCmd is `rl ps`.
type PsCmd struct {
	All     bool   `short:"a" help:"Also those that have ended."`
	Quiet   bool   `short:"q" help:"Ids only."`
	NoTrunc bool   `help:"Whole ids and commands."`
	Format  string `enum:"table,json" default:"table" placeholder:"FORMAT" help:"Print a table or json."`
}

// Run lists containers, the newest first.
func (c *PsCmd) Run() error {
	states, err := container.List(c.All)
	if err != nil {
		return err
	}
	slices.SortFunc(states, func(a, b storage.State) int { return b.Created.Compare(a.Created) })
	switch {
	case c.Quiet:
		for _, s := range states {
			fmt.Println(c.cut(s.ID, 12))
		}
		return nil
	case c.Format == "json":
		return printJSON(states)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "CONTAINER ID\tIMAGE\tCOMMAND\tCREATED\tSTATUS\tNAMES")
	for _, s := range states {
		status := statusText(&s)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s ago\t%s\t%s\n", c.cut(s.ID, 12), hint.Clean(s.Image), hint.Clean(c.cut(strings.Join(s.Command, " "), 30)), ago(s.Created), status, s.Name)
	}
	return w.Flush()
}

func (c *PsCmd) cut(s string, n int) string {
	if c.NoTrunc || len(s) <= n {
		return s
	}
	return s[:n]
}

// ago is a time span in docker's words.
func ago(t time.Time) string {
	d := time.Since(t)
	for _, u := range []struct {
		name string
		span time.Duration
	}{{"days", 24 * time.Hour}, {"hours", time.Hour}, {"minutes", time.Minute}} {
		if d >= 2*u.span {
			return fmt.Sprintf("%d %s", d/u.span, u.name)
		}
	}
	return fmt.Sprintf("%d seconds", d/time.Second)
}

// statusText is the STATUS column, in docker's words.
func statusText(s *storage.State) string {
	switch s.Status {
	case storage.Created:
		return "Created"
	case storage.Exited:
		return fmt.Sprintf("Exited (%d) %s ago", s.ExitCode, ago(s.Finished))
	case storage.Restarting:
		return fmt.Sprintf("Restarting (%d) %s ago", s.ExitCode, ago(s.Finished))
	case container.Paused:
		return "Up " + ago(s.Started) + " (Paused)"
	}
	return "Up " + ago(s.Started)
}
