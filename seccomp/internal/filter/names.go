package filter

import (
	_ "embed"
	"strconv"
	"strings"
)

// syscalls.txt has a line for each name: its numbers on amd64, 386, arm64, arm and riscv64; "-" where it doesn't exist.
// Package gen writes it.
//
//go:embed syscalls.txt
var syscalls string

const missing = ^uint32(0)

type numbers [abis]uint32

// table reads syscalls.txt. It costs some 50 µs, and only profiles that weren't compiled at build time need it.
func table() map[string]numbers {
	t := make(map[string]numbers, strings.Count(syscalls, "\n"))
	for line := range strings.Lines(syscalls) {
		f := strings.Fields(line)
		if len(f) != 1+int(abis) || f[0] == "#" {
			continue
		}
		t[f[0]] = parseNumbers(f[1:])
	}
	return t
}

func parseNumbers(fields []string) (n numbers) {
	for i, f := range fields {
		v, err := strconv.ParseUint(f, 10, 32)
		if err != nil {
			v = uint64(missing)
		}
		n[i] = uint32(v)
	}
	return n
}

// Names are the system calls of an ABI by number.
func Names(abi ABI) map[uint32]string {
	names := map[uint32]string{}
	for name, n := range table() {
		if n[abi] != missing {
			names[n[abi]] = name
		}
	}
	return names
}

// muxed: on i386 the calls of sockets and of System V IPC can also be made through one system call each, socketcall(2) and
// ipc(2), whose first argument says which one is meant (linux/net.h, linux/ipc.h). It is name's number there.
func muxed(name string) (mux string, number uint64) {
	for i, n := range strings.Fields("socket bind connect listen accept getsockname getpeername socketpair send recv sendto " +
		"recvfrom shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg") {
		if n == name {
			return "socketcall", uint64(i + 1)
		}
	}
	for i, n := range strings.Fields("semop semget semctl semtimedop - - - - - - msgsnd msgrcv msgget msgctl - - - - - - " +
		"shmat shmdt shmget shmctl") {
		if n == name {
			return "ipc", uint64(i + 1)
		}
	}
	return "", 0
}
