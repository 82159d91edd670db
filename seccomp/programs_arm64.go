package seccomp

import _ "embed"

//go:embed chroot_arm64.bpf
var chrootProgram string

//go:embed nocaps_arm64.bpf
var nocapsProgram string

//go:embed fakeroot_arm64.bpf
var fakerootProgram string
