package image

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// The library reads the files of credentials one after the other, and fails at the first that it can't read: also of an image that
// needs none. That happens where `sudo docker login` left a file to root, where su kept another user's XDG_RUNTIME_DIR, and where there
// is none: then it looks at /run/containers/UID, and rl-image is uid 0 in its user namespace. So these files are looked at first.

// authPlace is one of the library's, in its order.
type authPlace struct {
	path string
	// shared: others may have put the file there.
	shared bool
	// legacy: the file has no "auths" around its entries, and whole addresses as their keys.
	legacy bool
}

func authPlaces(uid int) []authPlace {
	home := os.Getenv("HOME") // rl sees to it
	runtime := fmt.Sprintf("/run/containers/%d", uid)
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		runtime = filepath.Join(dir, "containers")
	}
	return []authPlace{
		{path: filepath.Join(runtime, "auth.json"), shared: true},
		{path: filepath.Join(cmp.Or(os.Getenv("XDG_CONFIG_HOME"), filepath.Join(home, ".config")), "containers/auth.json")},
		{path: filepath.Join(cmp.Or(os.Getenv("DOCKER_CONFIG"), filepath.Join(home, ".docker")), "config.json")},
		{path: filepath.Join(home, ".dockercfg"), legacy: true},
	}
}

// credentials are what is given to the library instead of its own places.
type credentials struct {
	file *os.File // in memory, nil: its places are good
	left []string // what was left out, and why
}

func (c *credentials) close() {
	if c.file != nil {
		c.file.Close()
	}
}

// path is types.SystemContext's AuthFilePath.
func (c *credentials) path() string {
	if c.file == nil {
		return ""
	}
	return "/proc/self/fd/" + strconv.Itoa(int(c.file.Fd()))
}

// explain adds to a registry's refusal what was left out.
func (c *credentials) explain(err error) error {
	if len(c.left) == 0 || err == nil || !refused(err.Error()) {
		return err
	}
	return hint.With(err, "credentials that were left out: "+strings.Join(c.left, "; "))
}

// refused: the registry wants other credentials, or some.
func refused(text string) bool {
	return slices.ContainsFunc([]string{"unauthorized", "authentication required", "denied"}, func(part string) bool { return strings.Contains(text, part) })
}

// findCredentials looks whether the library can read all that is there. Else it puts together what can be read, in memory: a token
// never gets to the disk.
func findCredentials() (*credentials, error) {
	c, all := &credentials{}, authEntries{Auths: map[string]json.RawMessage{}, CredHelpers: map[string]string{}}
	uid := outsideUID()
	places := authPlaces(uid)
	for _, p := range places {
		text, err := p.read()
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		case err != nil:
			c.left = append(c.left, err.Error())
		default:
			if err := all.add(text, p.legacy); err != nil {
				return nil, fmt.Errorf("credentials in %s: %w", p.path, err)
			}
		}
	}
	if theirs := authPlaces(os.Getuid())[0].path; len(c.left) == 0 && (theirs == places[0].path || nothing(theirs) && nothing(places[0].path)) {
		return c, nil
	}
	var err error
	c.file, err = all.inMemory()
	return c, err
}

func nothing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// read is the file's text. One that somebody else put there isn't the user's.
func (p authPlace) read() ([]byte, error) {
	f, err := os.OpenFile(p.path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, &fs.PathError{Op: "read", Path: p.path, Err: sys.ErrNotRegular}
	case p.shared && int(st.Uid) != os.Getuid():
		return nil, &fs.PathError{Op: "read", Path: p.path, Err: errors.New("it belongs to another user")}
	}
	return io.ReadAll(f)
}

// authEntries are those of auth.json and docker's config.json, as far as the library reads them (containers-auth.json(5)).
type authEntries struct {
	Auths       map[string]json.RawMessage `json:"auths"`
	CredHelpers map[string]string          `json:"credHelpers"`
}

// add takes what an earlier file doesn't have.
func (a *authEntries) add(text []byte, legacy bool) error {
	var more authEntries
	var err error
	if legacy {
		err = json.Unmarshal(text, &more.Auths)
	} else {
		err = json.Unmarshal(text, &more)
	}
	for key, v := range more.Auths {
		if legacy {
			key = hostOf(key)
		}
		if _, have := a.Auths[key]; !have {
			a.Auths[key] = v
		}
	}
	for key, v := range more.CredHelpers {
		if _, have := a.CredHelpers[key]; !have {
			a.CredHelpers[key] = v
		}
	}
	return err
}

// hostOf is the registry of an address, https://index.docker.io/v1/.
func hostOf(address string) string {
	_, rest, found := strings.Cut(address, "://")
	if !found {
		rest = address
	}
	host, _, _ := strings.Cut(rest, "/")
	return host
}

func (a *authEntries) inMemory() (*os.File, error) {
	text, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("credentials", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "credentials")
	if _, err := f.Write(text); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// outsideUID is who we are outside of our user namespace (user_namespaces(7)).
func outsideUID() int {
	text, _ := os.ReadFile("/proc/self/uid_map")
	own := os.Getuid()
	for line := range strings.Lines(string(text)) {
		var inside, outside, size int
		if n, _ := fmt.Sscan(line, &inside, &outside, &size); n == 3 && own >= inside && own-inside < size {
			return outside + own - inside
		}
	}
	return own
}
