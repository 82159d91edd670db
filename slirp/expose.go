package slirp

import (
	"fmt"
	"strings"
)

// ParseExposed reads the ports of --expose, or of an image: PORT[-PORT][/tcp|/udp|/sctp]. They are places in the container: Host is 0.
func ParseExposed(word string) (Port, error) {
	rest, proto, has := strings.Cut(word, "/")
	if proto = strings.ToLower(proto); !has {
		proto = "tcp"
	}
	switch proto {
	case "tcp", "udp", "sctp":
	default:
		return Port{}, fmt.Errorf("protocol %q is neither tcp nor udp", proto)
	}
	first, count, err := parseRange("port", rest)
	if err == nil && first == 0 {
		err = fmt.Errorf("port 0 does not exist")
	}
	return Port{Container: first, Count: count, Proto: proto}, err
}

// Inside is how an image's config names the ports of p: 80/tcp, 8000-8010/udp.
func (p Port) Inside() string { return rangeForm(p.Container, p.Count) + "/" + p.Proto }

// Each is p port by port, each with a port of the host that the kernel chooses.
func (p Port) Each() []Port { return random(p) }
