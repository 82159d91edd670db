package enter

import (
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/sys"
)

// makeTap makes the network helper's device before the helper does, as a persistent one: it then goes with the network
// namespace, when nobody waits. The helper's own device would keep the helper, and so the end of every container, for the
// 25 ms that the kernel takes to be rid of a device (netdev_run_todo). No failure counts: the helper then makes its own, and says what is wrong with /dev/net/tun.
//
// It is done while the ids are being mapped, and told: the helper must not try in the same moment.
func makeTap(name string) error {
	persistentTap(name)
	return sys.Send(Sock, 'n')
}

func persistentTap(name string) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if unix.IoctlIfreq(fd, unix.TUNSETIFF, req) == nil {
		unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1)
	}
}
