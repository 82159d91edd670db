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

// table reads syscalls.txt, for the profiles that weren't compiled at build time.
func table() map[string]numbers {
	t := make(map[string]numbers, strings.Count(syscalls, "\n"))
	for line := range strings.Lines(syscalls) {
		name, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if name != "#" {
			t[name] = parseNumbers(rest)
		}
	}
	return t
}

func parseNumbers(fields string) (n numbers) {
	for i := range n {
		var f string
		f, fields, _ = strings.Cut(fields, " ")
		n[i] = missing
		if f == "-" {
			continue // an error would cost more than all else here
		}
		if v, err := strconv.ParseUint(f, 10, 32); err == nil {
			n[i] = uint32(v)
		}
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

// place is where a call is among those of socketcall(2) or ipc(2).
type place struct {
	mux    string
	number uint64
}

// muxed: on i386 the calls of sockets and of System V IPC can also be made through one system call each, socketcall(2) and
// ipc(2), whose first argument says which one is meant (linux/net.h, linux/ipc.h).
func muxed() map[string]place {
	all := map[string]place{}
	for mux, names := range map[string]string{
		"socketcall": "socket bind connect listen accept getsockname getpeername socketpair send recv sendto " +
			"recvfrom shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg sendmmsg",
		"ipc": "semop semget semctl semtimedop - - - - - - msgsnd msgrcv msgget msgctl - - - - - - shmat shmdt shmget shmctl",
	} {
		for i, name := range strings.Fields(names) {
			if name != "-" {
				all[name] = place{mux, uint64(i + 1)}
			}
		}
	}
	return all
}
