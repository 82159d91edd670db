# Shared by the scripts of hack/bench: sourced, not run. It makes, and removes at the end, what they measure with: the binaries, a home
# for the ordinary user, one busybox root for all.
# shellcheck shell=bash
# shellcheck source=hack/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$top"
[ -x bin/rl ] || die "no bin/rl: make build"

stage
user=$(test_user)
as() { "$top/hack/as-user" -C "$work" HOME="$work" PATH="$stage/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" "$@"; }
work=$("$top/hack/as-user" mktemp -d /var/tmp/rl-bench.XXXXXX)
finish() {
	as rl rm -f -a >/dev/null 2>&1 || true
	as rl rmi -a -f >/dev/null 2>&1 || true
	as podman system reset -f >/dev/null 2>&1 || true
	"$top/hack/as-user" rm -rf "$work"
	rm -rf "$stage"
}
trap finish EXIT
CGO_ENABLED=0 "$GO" build -trimpath -buildvcs=false -o "$stage/bin/bench" ./hack/bench
printf 'package main\n\nfunc main() {}\n' >"$stage/empty.go"
CGO_ENABLED=0 "$GO" build -trimpath -buildvcs=false -ldflags '-s -w' -o "$stage/bin/empty" "$stage/empty.go"

# One root for all: busybox, as an image in the store that rl and podman share, and as a directory.
as sh -c '
	mkdir -p root/bin root/etc root/proc root/dev root/sys root/tmp bundle .config/containers
	cp /bin/busybox root/bin/ && for a in sh true echo sleep; do ln -s busybox root/bin/$a; done
	echo root:x:0:0::/:/bin/sh > root/etc/passwd
	printf "[storage]\ndriver = \"overlay\"\n" > .config/containers/storage.conf
	tar -C root --owner=0 --group=0 -cf root.tar . && rl import root.tar bench >/dev/null
	cd bundle && crun spec --rootless'

jobs="$stage/jobs"
job() { local IFS=$'\t'; printf '%s\n' "$*" >>"$jobs"; }
podman="podman --cgroup-manager cgroupfs"

# At real-time priority, where the caller may give it: what else runs on the machine then waits.
steady=()
! chrt -r 5 true 2>/dev/null || steady=(chrt -r 5)
as_steady() { "${steady[@]}" "$top/hack/as-user" -C "$work" HOME="$work" PATH="$stage/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" "$@"; }
