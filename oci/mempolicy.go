package oci

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/rl-containers/rl/sys"
)

// memoryPolicy is linux.memoryPolicy of runtime-spec's main branch (config-linux.md, "Memory policy"), which package specs-go
// doesn't have yet.
type memoryPolicy struct {
	Mode  string   `json:"mode"`
	Nodes string   `json:"nodes"`
	Flags []string `json:"flags"`
}

// memoryPolicyOf reads it from the text of a config.json; nil when it isn't there.
func memoryPolicyOf(text []byte) (*sys.MemoryPolicy, error) {
	// Rare, and reading the whole text a second time costs a start a millisecond.
	if !bytes.Contains(text, []byte("memoryPolicy")) {
		return nil, nil
	}
	var c struct {
		Linux struct {
			MemoryPolicy *memoryPolicy `json:"memoryPolicy"`
		} `json:"linux"`
	}
	if err := json.Unmarshal(text, &c); err != nil || c.Linux.MemoryPolicy == nil {
		return nil, err
	}
	p, err := c.Linux.MemoryPolicy.compile()
	if err != nil {
		return nil, fmt.Errorf("linux.memoryPolicy: %w", err)
	}
	return p, nil
}

// compile translates the words to those of set_mempolicy(2), which checks that they fit together.
func (m *memoryPolicy) compile() (*sys.MemoryPolicy, error) {
	mode, ok := map[string]int{"MPOL_DEFAULT": 0, "MPOL_PREFERRED": 1, "MPOL_BIND": 2, "MPOL_INTERLEAVE": 3, "MPOL_LOCAL": 4,
		"MPOL_PREFERRED_MANY": 5, "MPOL_WEIGHTED_INTERLEAVE": 6}[m.Mode]
	if !ok {
		return nil, fmt.Errorf("invalid memory policy mode %q", m.Mode)
	}
	for _, f := range m.Flags {
		bit, ok := map[string]int{"MPOL_F_NUMA_BALANCING": 1 << 13, "MPOL_F_RELATIVE_NODES": 1 << 14, "MPOL_F_STATIC_NODES": 1 << 15}[f]
		if !ok {
			return nil, fmt.Errorf("invalid memory policy flag %q", f)
		}
		mode |= bit
	}
	nodes, err := numbers(m.Nodes)
	if err != nil {
		return nil, fmt.Errorf("invalid memory policy nodes %w", err)
	}
	// The kernel's EINVAL says less (set_mempolicy(2)).
	if n := len(nodes); n > 0 && (m.Mode == "MPOL_DEFAULT" || m.Mode == "MPOL_LOCAL") {
		return nil, fmt.Errorf("mode requires 0 nodes but got %d", n)
	}
	return &sys.MemoryPolicy{Mode: mode, Nodes: nodes}, nil
}
