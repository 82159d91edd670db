package seccomp

import _ "embed"

//go:embed chroot_amd64.bpf
var chrootProgram string

//go:embed nocaps_amd64.bpf
var nocapsProgram string

//go:embed fakeroot_amd64.bpf
var fakerootProgram string
