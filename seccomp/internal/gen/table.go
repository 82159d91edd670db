package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const tableHead = "# Written by go generate from golang.org/x/sys/unix. amd64, 386, arm64, arm, riscv64.\n"

// tables is the table of system calls, from the sources of golang.org/x/sys/unix, which are made from the kernel's headers.
func tables() (map[string][]byte, error) {
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "golang.org/x/sys/unix").Output()
	if err != nil {
		return nil, fmt.Errorf("find golang.org/x/sys/unix: go list: %w", err)
	}
	columns := []string{"amd64", "386", "arm64", "arm", "riscv64"}
	rows := map[string][]string{}
	for i, arch := range columns {
		numbers, err := column(strings.TrimSpace(string(dir)), arch)
		if err != nil {
			return nil, err
		}
		for name, nr := range numbers {
			if rows[name] == nil {
				rows[name] = slices.Repeat([]string{"-"}, len(columns))
			}
			rows[name][i] = nr
		}
	}
	b := bytes.NewBufferString(tableHead)
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(b, "%s %s\n", name, strings.Join(rows[name], " "))
	}
	return map[string][]byte{"internal/filter/syscalls.txt": b.Bytes()}, nil
}

func column(dir, arch string) (map[string]string, error) {
	source, err := os.ReadFile(filepath.Join(dir, "zsysnum_linux_"+arch+".go"))
	if err != nil {
		return nil, err
	}
	numbers := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\tSYS_(\w+)\s*= (\d+)$`).FindAllStringSubmatch(string(source), -1) {
		numbers[strings.ToLower(m[1])] = m[2]
	}
	if arch == "arm" {
		delete(numbers, "syscall_mask") // no call
		// The calls of __ARM_NR_BASE (arch/arm/include/uapi/asm/unistd.h).
		maps.Copy(numbers, map[string]string{"breakpoint": "983041", "cacheflush": "983042", "usr26": "983043", "usr32": "983044",
			"set_tls": "983045"})
	}
	return numbers, nil
}
