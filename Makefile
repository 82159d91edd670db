# The two commands: `make run` and `make test`. Both install what is missing (hack/deps), as root or through sudo.
# `make help` lists the rest.

GO      ?= $(shell command -v go || echo /usr/local/go/bin/go)
PREFIX  ?= /usr/local
DESTDIR ?=
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0-dev)

# The heavy libraries of rl-image, without what needs C or another daemon.
TAGS    := containers_image_openpgp,exclude_graphdriver_btrfs,containers_image_docker_daemon_stub
LDFLAGS := -s -w -X main.version=$(VERSION) -X github.com/rl-containers/rl/enter.build=$(VERSION)
# No VCS stamp: git refuses a clone of another user (a build under sudo), and the version is given anyway.
GOBUILD := CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags "$(LDFLAGS)"

# Where shells look for completions (bash-completion's, zsh's and fish's own documentation).
BASH := share/bash-completion/completions
ZSH := share/zsh/site-functions
FISH := share/fish/vendor_completions.d
# What an administrator or a user may link into containers.conf.d, for podman to know rl-oci.
CONF := share/rl/containers.conf.d

export GO TAGS VERSION

.PHONY: help build run test lint bench bench-living install uninstall clean
.DEFAULT_GOAL := build

help:
	@echo 'make build     bin/rl, bin/rl-enter, bin/rl-image, bin/rl-tiny: static binaries'
	@echo 'make run       install what is missing, build, and run a container as an ordinary user'
	@echo 'make test      vet, gofmt, staticcheck, shellcheck, unit, race and command-level tests'
	@echo 'make lint      the checks of make test that run nothing'
	@echo 'make bench     rl beside podman, crun and bubblewrap (docs/performance.md)'
	@echo 'make bench-living   containers that stay: rl beside podman, as root, 20 minutes'
	@echo 'make install   PREFIX=$(PREFIX) DESTDIR='
	@echo 'hack/test -run TestScript/NAME    one script, quickly (test/README.md)'

build:
	$(GOBUILD) -o bin/rl ./cmd/rl
	$(GOBUILD) -o bin/rl-enter ./cmd/rl-enter
	$(GOBUILD) -o bin/rl-tiny ./cmd/rl-tiny
	$(GOBUILD) -tags $(TAGS) -o bin/rl-image ./cmd/rl-image

run:
	hack/deps run
	$(MAKE) --no-print-directory build
	hack/run

test:
	hack/deps run test vm
	$(MAKE) --no-print-directory build
	hack/test

lint:
	hack/deps lint
	hack/lint

bench:
	hack/deps run bench
	$(MAKE) --no-print-directory build
	hack/bench/bench

bench-living:
	hack/deps run bench
	$(MAKE) --no-print-directory build
	hack/bench/living

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/rl $(DESTDIR)$(PREFIX)/$(BASH) $(DESTDIR)$(PREFIX)/$(ZSH) $(DESTDIR)$(PREFIX)/$(FISH) $(DESTDIR)$(PREFIX)/$(CONF)
	install -m 0755 bin/rl $(DESTDIR)$(PREFIX)/bin/rl
	ln -sf rl $(DESTDIR)$(PREFIX)/bin/rl-oci
	install -m 0755 bin/rl-enter bin/rl-image bin/rl-tiny $(DESTDIR)$(PREFIX)/libexec/rl/
	bin/rl man $(DESTDIR)$(PREFIX)/share/man/man1
	bin/rl completion bash >$(DESTDIR)$(PREFIX)/$(BASH)/rl
	bin/rl completion zsh >$(DESTDIR)$(PREFIX)/$(ZSH)/_rl
	bin/rl completion fish >$(DESTDIR)$(PREFIX)/$(FISH)/rl.fish
	sed 's|@PREFIX@|$(PREFIX)|' docs/rl-oci.conf >$(DESTDIR)$(PREFIX)/$(CONF)/rl-oci.conf

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/rl $(DESTDIR)$(PREFIX)/bin/rl-oci $(DESTDIR)$(PREFIX)/share/man/man1/rl.1 $(DESTDIR)$(PREFIX)/share/man/man1/rl-*.1
	rm -f $(DESTDIR)$(PREFIX)/$(BASH)/rl $(DESTDIR)$(PREFIX)/$(ZSH)/_rl $(DESTDIR)$(PREFIX)/$(FISH)/rl.fish
	rm -rf $(DESTDIR)$(PREFIX)/libexec/rl $(DESTDIR)$(PREFIX)/share/rl

clean:
	rm -rf bin
