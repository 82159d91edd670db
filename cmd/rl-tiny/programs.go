package main

import (
	"slices"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/archive"
	"github.com/rl-containers/rl/cmd/rl-tiny/internal/files"
	"github.com/rl-containers/rl/cmd/rl-tiny/internal/network"
	"github.com/rl-containers/rl/cmd/rl-tiny/internal/system"
	"github.com/rl-containers/rl/cmd/rl-tiny/internal/text"
	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

// programs are all but sh.
func programs() [][]tool.Program {
	return [][]tool.Program{files.Programs(), text.Programs(), system.Programs(), network.Programs(), archive.Programs()}
}

// find is the program of that name, or nil.
func find(name string) *tool.Program {
	for _, list := range programs() {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

func known(name string) bool { return name == "sh" || find(name) != nil }

// names are what the image gets links for.
func names() []string {
	all := []string{"sh"}
	for _, list := range programs() {
		for _, p := range list {
			all = append(all, p.Name)
		}
	}
	slices.Sort(all)
	return all
}
