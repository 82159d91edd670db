package container

import (
	"strings"

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
