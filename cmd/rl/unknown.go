package main

import (
	"fmt"
	"strings"

	"github.com/rl-containers/rl/hint"
)

// unknown is the error about a word that is no verb: one of docker's or podman's that rl lacks, or a slip of the fingers. in is the
// group that it follows, with a space, or nothing.
func unknown(in, word string, all []verb) error {
	for _, a := range absent() {
		for _, w := range strings.Split(a.words, ", ") {
			if w == in+word {
				return hint.Errorf(a.instead, "rl has no %q", in+word)
			}
		}
	}
	where, list := "", "rl help lists the commands"
	if in != "" {
		where, list = " of "+strings.TrimSpace(in), "rl "+in+"--help lists the commands"
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = all[i].name
	}
	return hint.With(fmt.Errorf("unknown command %q%s", word, where), append(hint.Meant("rl "+in, word, names), list)...)
}

// absent are the verbs that people type from habit, and what to type instead.
func absent() []struct{ words, instead string } {
	const store = ": the image store is the same, rl sees it at once"
	const one = "rl runs containers on this machine, for you: there is nothing to connect to"
	return []struct{ words, instead string }{
		{"build, image build, buildx, buildx build, builder, container build", "podman build -t NAME DIR, or buildah build -t NAME DIR" + store},
		{"push, image push", "podman push NAME, or skopeo copy containers-storage:NAME docker://REGISTRY/NAME" + store},
		{"login, logout", "podman login REGISTRY, or skopeo login REGISTRY: rl reads the auth.json that they write, and docker's config.json"},
		{"save, image save", "podman save -o FILE NAME, or skopeo copy containers-storage:NAME oci-archive:FILE; rl load -i FILE reads it"},
		{"tag, untag, image tag, image untag", "podman tag NAME NEW" + store},
		{"search, image search", "podman search TERM, or skopeo list-tags docker://NAME for the tags of one"},
		{"manifest, image sign, image trust, trust", "podman and skopeo have it" + store},
		{"mount, unmount, umount, container mount, container unmount, image mount, image unmount", "rl cp and rl export get files out; -v DIR:/path lets a container and you see the same ones"},
		{"network", "a container has a network of its own; rl run -p publishes ports, --network container:NAME shares that of another, host.containers.internal is this machine"},
		{"pod, kube, play", "rl run --network container:NAME shares the network of another container"},
		{"compose", "a .container file for each container, and rl quadlet: systemd starts them in order"},
		{"secret, config", "rl run -v FILE:/run/secrets/NAME:ro"},
		{"swarm, stack, node, service, plugin, context, machine, system connection", one},
		{"system service, system dial-stdio", "rl has no daemon and no API socket: each command does its work by itself"},
		{"system migrate, system renumber", "rl needs none: there is no state to be carried over"},
		{"system reset", "rl system prune -a --volumes, after rl stop -a"},
		{"unshare", "rl run --rm -v DIR:/d tiny sh is root over your files; unshare --map-auto --map-root-user, without a container"},
		{"auto-update", "rl run --pull newer --replace --name NAME …"},
		{"container exists, image exists", "rl inspect NAME: it ends with 1 when there is none"},
		{"checkpoint, container checkpoint, restore, container restore", "rl pause and rl unpause; rl commit keeps the files"},
		{"init, container init, container cleanup, container clone, clone, container runlabel", "rl create, rl start, rl run"},
	}
}

// explain adds to the message of a parser what to type.
func (v *verb) explain(err error) error {
	text, _, _ := strings.Cut(err.Error(), ", did you mean ") // its own guess, of fewer slips
	if flag, _, cut := strings.Cut(text, `: expected string value but got "EOL"`); cut {
		err = fmt.Errorf("%s needs a value", flag)
	}
	if flag, is := strings.CutPrefix(text, "unknown flag "); is {
		return v.unknownFlag(flag)
	}
	return hint.With(fmt.Errorf("%s: %w", v.name, err), "rl "+v.name+" --help")
}

// unknownFlag names the flag that may have been meant. Flags of docker's that are still to come get a word on what stands for them.
func (v *verb) unknownFlag(word string) error {
	flag, _, _ := strings.Cut(word, "=")
	if why := notYet(flag); why != "" && isContainer(v.command()) {
		return hint.Errorf(why, "%s: %s is not supported yet", v.name, flag)
	}
	return hint.With(fmt.Errorf("%s: unknown flag %s", v.name, flag), append(hint.Meant("", flag, v.longFlags(flag)), "rl "+v.name+" --help")...)
}

// longFlags are those of the verb, if word is to be one.
func (v *verb) longFlags(word string) []string {
	parser, err := v.parser(v.command())
	if err != nil || !strings.HasPrefix(word, "--") {
		return nil
	}
	var names []string
	for _, c := range (&line{model: parser.Model.Node}).flags() {
		if strings.HasPrefix(c.word, "--") {
			names = append(names, c.word)
		}
	}
	return names
}
