package container

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/slirp"
	"github.com/rl-containers/rl/storage"
)

// Published is a range of published ports, by podman's names. HostIP "" is every address.
type Published struct {
	HostIP        string `json:"host_ip"`
	ContainerPort int    `json:"container_port"`
	HostPort      int    `json:"host_port"`
	Range         int    `json:"range"`
	Protocol      string `json:"protocol"`
}

// PublishedPorts are those of a container, those of the host that the kernel chose filled in; none when it doesn't run.
func PublishedPorts(s *storage.State) []Published {
	all := []Published{}
	if !s.Running {
		return all
	}
	for _, shown := range s.Ports {
		// As it is listed it is but for the arrow as it is typed.
		all = append(all, published([]string{strings.Replace(shown, "->", ":", 1)})...)
	}
	return all
}

// published reads values of -p that were accepted once.
func published(words []string) []Published {
	var all []Published
	ports, err := slirp.ParsePorts(words)
	if err != nil {
		return nil
	}
	for _, p := range ports {
		one := Published{ContainerPort: int(p.Container), HostPort: int(p.Host), Range: p.Count, Protocol: p.Proto}
		if p.IP.IsValid() && !p.IP.IsUnspecified() {
			one.HostIP = p.IP.String()
		}
		all = append(all, one)
	}
	return all
}

// PortLine is one published port, as docker-port(1) shows it: 80/tcp and 0.0.0.0:8080.
type PortLine struct{ Inside, Outside string }

// Ports lists the published ports of a container, one by one. With a port, PORT[/PROTO], only its own, and none is an error; without
// a protocol it is tcp.
func Ports(word, port string) ([]PortLine, error) {
	s, err := Find(word)
	if err != nil {
		return nil, err
	}
	key, err := portKey(port)
	if err != nil {
		return nil, err
	}
	var all []PortLine
	for _, p := range PublishedPorts(s) {
		for n := range p.Range {
			line := PortLine{strconv.Itoa(p.ContainerPort+n) + "/" + p.Protocol, outside(p.HostIP, p.HostPort+n)}
			if key == "" || key == line.Inside {
				all = append(all, line)
			}
		}
	}
	switch {
	case !s.Running && key == "" || len(all) > 0:
		return all, nil
	case !s.Running:
		return nil, hint.Errorf("rl start "+s.Name, "port %s of container %s: it is not running, so nothing is published", key, s.Name)
	case key != "":
		return nil, &hint.Exit{Code: 1, Err: hint.Errorf("rl port "+s.Name+" lists what is", "port %s of container %s: not published", key, s.Name)}
	}
	return all, nil
}

// portKey is 80 or 80/tcp as 80/tcp.
func portKey(word string) (string, error) {
	if word == "" {
		return "", nil
	}
	number, proto, found := strings.Cut(word, "/")
	if !found {
		proto = "tcp"
	}
	if n, err := strconv.ParseUint(number, 10, 16); err != nil || n == 0 || !slices.Contains([]string{"tcp", "udp"}, proto) {
		return "", hint.Errorf("rl port CONTAINER 80/tcp", "port %s: not a port of a container", word)
	}
	return number + "/" + proto, nil
}

func outside(ip string, port int) string {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return "0.0.0.0:" + strconv.Itoa(port)
	}
	return netip.AddrPortFrom(a, uint16(port)).String()
}
