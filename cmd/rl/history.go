package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/rl-containers/rl/container"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// HistoryCmd is `rl history`.
type HistoryCmd struct {
	Format  string `placeholder:"json|TEMPLATE" help:"json, a Go template over .ID .CreatedSince .CreatedAt .CreatedBy .Size .Comment, or table TEMPLATE."`
	Human   bool   `short:"H" default:"true" negatable:"" help:"Sizes and dates for people (default); --human=false: bytes, and dates in full."`
	NoTrunc bool   `help:"Whole ids and commands."`
	Quiet   bool   `short:"q" help:"Ids only."`
	Image   string `arg:"" help:"Name, id, or the unique beginning of an id."`
}

// Run shows what an image was made by, the newest first.
func (c *HistoryCmd) Run() error {
	if c.Quiet && c.Format != "" {
		return hint.Errorf("leave one of them out", "history: -q and --format exclude each other")
	}
	found, errs, err := container.InspectImages([]string{c.Image})
	if err == nil {
		err = errs[0]
	}
	if err != nil {
		return err
	}
	rows := c.rows(&found[0])
	if c.Quiet {
		ids := make([]string, len(rows))
		for i := range rows {
			ids[i] = rows[i].ID()
		}
		return printLines(ids)
	}
	l := listing[historyRow]{format: c.Format, titles: map[string]string{"ID": "IMAGE", "CreatedSince": "CREATED", "CreatedBy": "CREATED BY", "CreatedAt": "CREATED AT"},
		columns: []column[historyRow]{
			{"IMAGE", (*historyRow).ID}, {"CREATED", (*historyRow).Created}, {"CREATED BY", (*historyRow).CreatedBy}, {"SIZE", (*historyRow).Size},
			{"COMMENT", (*historyRow).Comment},
		}}
	return l.print(rows)
}

// rows joins the history, which an image need not have, with the layers: of each entry but the empty ones in their order.
func (c *HistoryCmd) rows(a *storage.ImageAnswer) []historyRow {
	var all []historyRow
	sizes := a.LayerSizes
	for _, h := range a.Image.History {
		row := historyRow{c: c, entry: historyEntry{ID: "<missing>", CreatedBy: h.CreatedBy, Comment: h.Comment}}
		if h.Created != nil {
			row.entry.Created = *h.Created
		}
		if !h.EmptyLayer && len(sizes) > 0 {
			row.entry.Size, sizes = sizes[0], sizes[1:]
		}
		all = append(all, row)
	}
	for _, size := range sizes {
		all = append(all, historyRow{c: c, entry: historyEntry{ID: "<missing>", Created: a.Image.Created, Size: size}})
	}
	newest := make([]historyRow, 0, len(all))
	for i := len(all) - 1; i >= 0; i-- {
		newest = append(newest, all[i])
	}
	if len(newest) > 0 {
		newest[0].entry.ID, newest[0].entry.Tags = a.Image.Id, a.Image.RepoTags
	}
	return newest
}

// historyEntry is a step in --format json, by podman's names.
type historyEntry struct {
	ID        string    `json:"id"`
	Created   time.Time `json:"created"`
	CreatedBy string    `json:",omitempty"`
	Tags      []string  `json:"tags,omitempty"`
	Size      int64     `json:"size"`
	Comment   string    `json:"comment,omitempty"`
}

// historyRow shows a step in a table or a template.
type historyRow struct {
	c     *HistoryCmd // nil in the row by which a template is tried
	entry historyEntry
}

// MarshalJSON is the entry, whole.
func (r historyRow) MarshalJSON() ([]byte, error) {
	b, err := compactJSON(r.entry)
	return []byte(b), err
}

func (r *historyRow) human() bool { return r.c == nil || r.c.Human }

func (r *historyRow) whole() bool { return r.c != nil && r.c.NoTrunc }

// ID is the image's in the first row; of older steps nobody knows one.
func (r *historyRow) ID() string {
	if id := r.entry.ID; r.whole() || len(id) < 12 || strings.HasPrefix(id, "<") {
		return id
	}
	return r.entry.ID[:12]
}

// Created is how long ago, or when.
func (r *historyRow) Created() string {
	if r.human() {
		return r.CreatedSince()
	}
	return r.CreatedAt()
}

// CreatedSince is how long ago.
func (r *historyRow) CreatedSince() string {
	if r.entry.Created.IsZero() {
		return "N/A"
	}
	return ago(r.entry.Created) + " ago"
}

// CreatedAt is when.
func (r *historyRow) CreatedAt() string { return r.entry.Created.Format(time.RFC3339) }

// CreatedBy is the command.
func (r *historyRow) CreatedBy() string {
	s := hint.Clean(strings.ReplaceAll(r.entry.CreatedBy, "\t", " "))
	if words := []rune(s); !r.whole() && len(words) > 45 {
		return string(words[:44]) + "…"
	}
	return s
}

// Size is that of the layer.
func (r *historyRow) Size() string {
	if r.human() {
		return humanSize(r.entry.Size, 3)
	}
	return strconv.FormatInt(r.entry.Size, 10)
}

// Comment is what was said of it.
func (r *historyRow) Comment() string { return hint.Clean(r.entry.Comment) }

// Tags are the image's names.
func (r *historyRow) Tags() string { return hint.Clean(strings.Join(r.entry.Tags, ", ")) }
