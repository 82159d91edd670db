# Shared by the scripts of hack/: sourced, not run.
# shellcheck shell=bash

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export GO="${GO:-$(command -v go || echo /usr/local/go/bin/go)}"
export TAGS="${TAGS:-containers_image_openpgp,exclude_graphdriver_btrfs,containers_image_docker_daemon_stub}"

say() { printf '%s\n' "$*" >&2; }
die() { say "$0: $*"; exit 1; }

# as_root CMD…: directly, or through sudo where that asks nothing (or can ask somebody). 77 when neither is possible.
as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"
	elif sudo -n true 2>/dev/null; then sudo -n "$@"
	elif [ -t 0 ] && [ -z "${CI:-}" ] && command -v sudo >/dev/null; then sudo "$@"
	else return 77; fi
}

# The ordinary user of the tests: oneself, or for root a user made for it.
test_user() { if [ "$(id -u)" = 0 ]; then echo rltest; else id -un; fi; }

# stage: makes $stage, a directory that the ordinary user can read, and has it removed at the end. The clone may lie where only
# its owner can look (root's home, a private temporary directory). /var/tmp: /tmp may be a small tmpfs.
stage() {
	stage=$(mktemp -d /var/tmp/rl-stage.XXXXXX)
	chmod 0755 "$stage"
	trap 'rm -rf "$stage"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	install -d -m 0755 "$stage/bin"
	install -m 0755 "$top"/bin/* "$stage/bin/"
}

# mirror SUITE: the first one in apt's sources that has the suite, else the first one with Debian's main part, else Debian's own.
mirror() {
	apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' 2>/dev/null |
		awk -v suite="$1" '$2 == suite && !found { print $1; found = 1 }
			!any && $1 ~ "/debian/*$" { any = $1 }
			END { if (!found) print any ? any : "http://deb.debian.org/debian" }'
}

# apt_options: a mirror that is a snapshot has old dates; what this machine's apt was told about them holds for another's, too.
apt_options() { apt-config dump | grep -E '^Acquire::(Check-Valid-Until|Check-Date|http::Proxy|https::Proxy) ' || true; }
