package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"text/template"
	"time"

	"github.com/docker/go-units"

	"github.com/rl-containers/rl/cmd/verbs"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/image"
	"github.com/rl-containers/rl/storage"
)

func pull(ctx context.Context, s *image.Store, a *verbs.Pull) error {
	names := a.Images
	o := image.PullOptions{Platform: a.Platform.Platform, Authfile: a.Authfile, TLSVerify: a.TLSVerify}
	if a.AllTags {
		names = nil
		for _, o.Name = range a.Images {
			tags, err := s.Tags(ctx, o)
			if err != nil {
				return err
			}
			names = append(names, tags...)
		}
	}
	for _, o.Name = range names {
		id, err := s.Pull(ctx, o)
		if err != nil {
			return err
		}
		fmt.Println(id)
	}
	return nil
}

func load(ctx context.Context, s *image.Store, a *verbs.Load) error {
	names, err := s.Load(ctx, a.Input)
	for _, n := range names {
		fmt.Println("Loaded image: " + n)
	}
	return err
}

func importTar(ctx context.Context, s *image.Store, a *verbs.Import) error {
	id, err := s.Import(ctx, image.ImportOptions{File: a.File, Name: a.Name, Changes: a.Change, Message: a.Message})
	if err == nil {
		fmt.Println("sha256:" + id)
	}
	return err
}

// commit prints the id, as docker does, when all is done.
func commit(s *image.Store, a *storage.Commit) error {
	id, err := s.Commit(a, os.Stdin)
	if err != nil {
		return err
	}
	if a.IIDFile != "" {
		if err := os.WriteFile(a.IIDFile, []byte("sha256:"+id), 0o666); err != nil {
			return fmt.Errorf("the image %s is there, but not its id in a file: %w", id, err)
		}
	}
	fmt.Println("sha256:" + id)
	return nil
}

// rmi tries all; the exit code is that of the last failure.
func rmi(s *image.Store, a *verbs.Rmi) error {
	names := a.Images
	if a.All {
		ids, err := s.IDs()
		if err != nil {
			return err
		}
		names = ids
	}
	var failed []error
	for _, name := range names {
		err := s.Remove(name, a.Force || a.All, func(line string) { fmt.Println(line) })
		if err != nil && !(a.Ignore && image.IsMissing(err)) {
			failed = append(failed, err)
		}
	}
	if len(failed) == 1 {
		return failed[0]
	}
	return errors.Join(failed...)
}

// row is what a template of --format sees, with podman's names.
type row struct {
	ID, Repository, Tag, Digest, CreatedSince, Created, CreatedAt, Size string
}

func images(ctx context.Context, s *image.Store, a *verbs.Images) error {
	filters := a.Filter
	if a.Reference != "" {
		filters = append(filters, "reference="+a.Reference)
	}
	list, err := s.List(ctx, filters, a.Sort)
	if err != nil {
		return err
	}
	switch {
	case a.Quiet:
		seen := map[string]bool{}
		for _, i := range list {
			if !seen[i.ID] {
				fmt.Println(cut(i.ID, a.NoTrunc))
			}
			seen[i.ID] = true
		}
		return nil
	case a.Format == "json":
		if list == nil {
			list = []image.Summary{}
		}
		e := json.NewEncoder(os.Stdout)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(list)
	}
	return table(list, a)
}

// table prints by a template, podman's own or the user's ("table …" aligns its columns).
func table(list []image.Summary, a *verbs.Images) error {
	format, aligned := strings.CutPrefix(a.Format, "table ")
	titles := row{"IMAGE ID", "REPOSITORY", "TAG", "DIGEST", "CREATED", "CREATED", "CREATED AT", "SIZE"}
	if a.Format == "" {
		format, aligned = `{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}`, true
		if a.Digests {
			format = `{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}`
		}
	}
	t, err := template.New("").Parse(strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(format) + "\n")
	if err != nil {
		return hint.Errorf("--format '{{.Repository}}:{{.Tag}} {{.ID}}'", "--format: %w", err)
	}
	w := tabwriter.NewWriter(os.Stdout, 12, 2, 2, ' ', 0)
	if aligned && !a.NoHeading {
		if err := t.Execute(w, titles); err != nil {
			return hint.With(fmt.Errorf("--format: %w", err), ".ID .Repository .Tag .Digest .CreatedSince .CreatedAt .Size")
		}
	}
	for _, i := range list {
		since := units.HumanDuration(time.Since(i.Created)) + " ago"
		r := row{cut(i.ID, a.NoTrunc), i.Repository, i.Tag, i.Digest, since, since, i.Created.Format(time.RFC3339), units.HumanSizeWithPrecision(float64(i.Size), 3)}
		if err := t.Execute(w, r); err != nil {
			return hint.With(fmt.Errorf("--format: %w", err), ".ID .Repository .Tag .Digest .CreatedSince .CreatedAt .Size")
		}
	}
	return w.Flush()
}

func cut(id string, whole bool) string {
	if whole || len(id) < 12 {
		return id
	}
	return id[:12]
}
