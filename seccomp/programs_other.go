//go:build !amd64 && !arm64

package seccomp

// No programs are made at build time.
const chrootProgram, nocapsProgram, fakerootProgram = "", "", ""
