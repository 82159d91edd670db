package container

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

const pruneFilters = "label=KEY[=VALUE], label!=KEY[=VALUE], until=24h or until=TIME"

// CheckPrune looks at filters that containers, images and volumes all have, before anybody is asked anything.
func CheckPrune(filters []string) error {
	for _, f := range filters {
		key, value, ok := strings.Cut(f, "=")
		if !ok || !slices.Contains([]string{"label", "label!", "until"}, key) {
			return hint.Errorf(pruneFilters, "--filter %s: not a filter of what is to be removed", f)
		}
		if key != "until" {
			continue
		}
		if _, err := pastTime(value); err != nil {
			return err
		}
	}
	return nil
}

// PruneContainers removes those that don't run and that the filters of ps let through. One that is started meanwhile stays.
func PruneContainers(filters []string) (storage.Pruned, error) {
	var p storage.Pruned
	store, err := storage.Open()
	if err != nil {
		return p, err
	}
	states, err := store.List()
	if err != nil {
		return p, err
	}
	if states, err = Filter(states, filters); err != nil {
		return p, err
	}
	states = slices.DeleteFunc(states, func(s storage.State) bool { return s.Running || s.Status == storage.Restarting || s.Remove })
	sizes, err := DiskUsage(dirsOf(states))
	if err != nil {
		return p, err
	}
	var left []string
	for i := range states {
		rest, done := store.DeleteEnded(&states[i])
		if !done {
			continue
		}
		if rest != "" {
			left = append(left, rest)
		}
		happened(&states[i], "remove")
		p.Deleted, p.Reclaimed = append(p.Deleted, states[i].ID), p.Reclaimed+sizes[i]
	}
	store.SweepNames()
	return p, removeLeft(left)
}

func dirsOf(states []storage.State) []string {
	dirs := make([]string, len(states))
	for i := range states {
		dirs[i] = states[i].Dir
	}
	return dirs
}

// VolumePrune takes all=true out of the filters of `rl volume prune`, and looks at the others before anybody is asked anything.
func VolumePrune(filters []string, all bool) (rest []string, named bool, err error) {
	for _, f := range filters {
		word, ok := strings.CutPrefix(f, "all=")
		if !ok {
			rest = append(rest, f)
			continue
		}
		too, err := strconv.ParseBool(word)
		if err != nil {
			return nil, false, hint.Errorf("all=true, or leave it out", "filter all=%s: neither true nor false", word)
		}
		all = all || too
	}
	_, err = volumeFilter(rest)
	return rest, all, err
}

// PruneVolumes removes what no container uses: anonymous volumes, with all the named ones, too.
func PruneVolumes(filters []string, all bool) (p storage.Pruned, err error) {
	list, err := Volumes(filters)
	if err != nil {
		return p, err
	}
	var names []string
	for _, v := range list {
		if len(v.UsedBy) == 0 && (all || v.Anonymous) {
			names = append(names, v.Name)
		}
	}
	sizes, err := VolumeUsage(names)
	if err != nil {
		return p, err
	}
	store, err := storage.Open()
	if err != nil {
		return p, err
	}
	removed, left, err := store.RemoveVolumes(names, nil)
	var used *storage.InUse
	if errors.As(err, &used) || errors.Is(err, storage.ErrNoVolume) {
		err = nil // somebody was quicker
	}
	for i, name := range names {
		if slices.Contains(removed, name) {
			p.Deleted, p.Reclaimed = append(p.Deleted, name), p.Reclaimed+sizes[i]
		}
	}
	return p, errors.Join(err, removeLeft(left))
}

// PruneImages removes images that no container uses: those without a name, with all the others, too.
func PruneImages(filters []string, all bool) (p storage.Pruned, err error) {
	err = askImageTool("prune", storage.PruneImages{All: all, Filters: filters}, &p)
	return p, err
}

// askImageTool is ImageTool for a verb that answers in JSON. What an answer holds before a failure is read, too.
func askImageTool(verb string, args, answer any) error {
	store, err := storage.Open()
	if err != nil {
		return err
	}
	out, err := memfd(verb)
	if err != nil {
		return err
	}
	defer out.Close()
	failed := imageToolWith(store, verb, args, os.Stdin, out)
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return err
	}
	b, err := io.ReadAll(out)
	if err == nil && len(bytes.TrimSpace(b)) > 0 {
		err = json.Unmarshal(b, answer)
	}
	if failed != nil {
		return failed
	}
	if err != nil {
		return fmt.Errorf("answer of rl-image: %w", err)
	}
	return nil
}
