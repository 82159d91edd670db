package sys

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Watch waits for changes of the files in some directories (inotify(7)).
type Watch struct{ f *os.File }

// rest is how often is looked where the kernel gives no more watches (fs.inotify.max_user_instances).
const rest = 200 * time.Millisecond

// NewWatch watches directories. It can't fail: without inotify Wait waits a moment.
func NewWatch(dirs ...string) *Watch {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return &Watch{}
	}
	w := &Watch{os.NewFile(uintptr(fd), "inotify")}
	for _, dir := range dirs {
		const events = unix.IN_MODIFY | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_DELETE | unix.IN_DELETE_SELF | unix.IN_ONLYDIR
		if _, err := unix.InotifyAddWatch(fd, dir, events); err != nil {
			w.Close()
			return &Watch{}
		}
	}
	return w
}

// Wait returns after a change since the last Wait, or after timeout.
func (w *Watch) Wait(timeout time.Duration) {
	if w.f == nil {
		time.Sleep(min(rest, timeout))
		return
	}
	w.f.SetReadDeadline(time.Now().Add(timeout))
	buf := make([]byte, 4096)
	for n, err := w.f.Read(buf); err == nil && n == len(buf); { // what is told is only that something changed
		w.f.SetReadDeadline(time.Now())
		n, err = w.f.Read(buf)
	}
}

// Close ends it.
func (w *Watch) Close() {
	if w.f != nil {
		w.f.Close()
	}
}
