package filter

import "github.com/opencontainers/runtime-spec/specs-go"

// Archs are the architectures of the runtime spec whose calls a program tells apart.
func Archs() []specs.Arch {
	var all []specs.Arch
	for a := range abis {
		all = append(all, a.OCI())
	}
	return all
}
