package container

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/slirp"
)

const exposeForm = "PORT[-PORT][/tcp|/udp], for example 80, 8000-8010 or 53/udp"

// checkExpose refuses what can't be honoured before an image is pulled.
func (r *Request) checkExpose() error {
	for _, word := range r.Expose {
		p, err := slirp.ParseExposed(word)
		if err == nil && p.Proto == "sctp" {
			err = fmt.Errorf("neither slirp4netns nor pasta can carry SCTP")
		}
		if err != nil {
			return hint.Errorf(exposeForm, "--expose %s: %w", word, err)
		}
	}
	return nil
}

// checkPublishAll refuses -P where there is nothing to publish to, as -p is refused.
func (r *run) checkPublishAll() error {
	switch {
	case !r.PublishAll:
		return nil
	case r.mode.Kind == slirp.Host:
		return hint.Errorf("leave -P out: with --network=host the program listens on the host itself", "-P: network host has no ports to publish")
	case r.mode.Kind == slirp.None && r.mode.Note != "":
		return fmt.Errorf("-P: %s", r.mode.Note)
	case r.mode.Kind == slirp.None:
		return hint.Errorf("use --network slirp4netns or pasta", "-P: network none can't publish ports")
	}
	return nil
}

// expose writes down the ports of the image and of --expose.
func (r *run) expose() {
	image := r.image.Config.Config.ExposedPorts
	if len(image)+len(r.Expose) > 0 {
		for _, p := range joinRanges(append(slices.Collect(maps.Keys(image)), r.Expose...)) {
			r.spec.Exposed = append(r.spec.Exposed, p.Inside())
			if r.PublishAll && p.Proto == "sctp" {
				r.say("warning: -P: " + p.Inside() + " of the image is not published: neither slirp4netns nor pasta can carry SCTP")
			}
		}
	}
	if r.PublishAll && len(r.spec.Exposed) == 0 && !r.Quiet {
		r.say("warning: -P publishes nothing: neither the image nor --expose names a port")
	}
}

// joinRanges reads ports and makes one of those that meet: an image may have a range of all ports a thousand times. What it says
// wrong must not keep it from running.
func joinRanges(words []string) (all []slirp.Port) {
	for _, word := range words {
		if p, err := slirp.ParseExposed(word); err == nil {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b slirp.Port) int {
		return cmp.Or(cmp.Compare(a.Proto, b.Proto), cmp.Compare(a.Container, b.Container))
	})
	joined := all[:0]
	for _, p := range all {
		if n := len(joined) - 1; n >= 0 && joined[n].Proto == p.Proto && int(p.Container) <= int(joined[n].Container)+joined[n].Count {
			joined[n].Count = max(joined[n].Count, int(p.Container)-int(joined[n].Container)+p.Count)
			continue
		}
		joined = append(joined, p)
	}
	return joined
}

// publishExposed publishes all of them but those that -p does. Each start has the kernel choose anew, as docker does.
func (r *run) publishExposed() {
	if !r.PublishAll {
		return
	}
	done := map[string]bool{}
	for _, p := range r.ports {
		for _, one := range p.Each() {
			done[one.Inside()] = true
		}
	}
	for _, word := range r.spec.Exposed {
		p, err := slirp.ParseExposed(word)
		if err != nil || p.Proto == "sctp" {
			continue
		}
		for _, one := range p.Each() {
			if !done[one.Inside()] {
				done[one.Inside()] = true
				r.ports = append(r.ports, one)
			}
		}
	}
}

// oneByOne are ports by their names in an image's config, one by one.
func oneByOne(exposed []string) (all []string) {
	for _, word := range exposed {
		p, err := slirp.ParseExposed(word)
		if err != nil {
			continue
		}
		for _, one := range p.Each() {
			all = append(all, one.Inside())
		}
	}
	return all
}
