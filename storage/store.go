package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// Store is where the user's images and rl's own things lie. Opening it reads at most one small file.
type Store struct {
	// DataDir is rl's own: containers, records of images, the built-in image. It is on the volume of GraphRoot, so that a
	// container's upper and work directories are where there is room for images.
	DataDir string
	// GraphRoot is the user's ordinary containers/storage, shared with podman and buildah.
	GraphRoot string
}

const whereToPut = "rl needs a directory of your own that it can write: export XDG_DATA_HOME=/some/writable/dir"

// Open finds the store as containers-storage.conf(5) says and makes rl's own directory.
func Open() (*Store, error) {
	s := &Store{}
	home, err := dataHome()
	if err != nil {
		return nil, err
	}
	if s.GraphRoot, err = graphRoot(home); err != nil {
		return nil, err
	}
	s.DataDir = filepath.Join(home, "rl")
	var data, graph unix.Stat_t
	err = unix.Stat(s.DataDir, &data)
	if err != nil {
		if err = os.MkdirAll(s.DataDir, 0o700); err == nil {
			err = unix.Stat(s.DataDir, &data)
		}
	}
	if err == nil && unix.Stat(s.GraphRoot, &graph) == nil && graph.Dev != data.Dev {
		s.DataDir = filepath.Join(s.GraphRoot, "rl")
		if err = os.MkdirAll(s.DataDir, 0o700); err == nil {
			err = unix.Stat(s.DataDir, &data)
		}
	}
	if err != nil {
		return nil, hint.With(fmt.Errorf("make rl's data directory %s: %w", s.DataDir, err), whereToPut)
	}
	return s, own(s.DataDir, &data)
}

// own refuses a directory in which somebody else could put or change things.
func own(dir string, st *unix.Stat_t) error {
	if int(st.Uid) != os.Geteuid() {
		return hint.Errorf(whereToPut, "%s belongs to uid %d, not to you", dir, st.Uid)
	}
	if st.Mode&0o022 != 0 {
		return hint.Errorf("look into it, then: chmod 700 "+dir, "%s can be written by others (mode %04o)", dir, st.Mode&0o7777)
	}
	return nil
}

// dataHome is where data of the user's programs lies (XDG Base Directory Specification); root's is /var/lib.
func dataHome() (string, error) {
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return dir, nil
	}
	// Root of a user namespace can't write there: it is an ordinary user.
	if os.Geteuid() == 0 && unix.Access("/var/lib", unix.W_OK) == nil {
		return "/var/lib", nil
	}
	home, err := HomeDir()
	return filepath.Join(home, ".local/share"), err
}

// HomeDir is HOME, or what passwd(5) says.
func HomeDir() (string, error) {
	if home := os.Getenv("HOME"); filepath.IsAbs(home) {
		return home, nil
	}
	u, err := user.LookupUid(os.Geteuid())
	if err != nil || !filepath.IsAbs(u.Home) {
		return "", hint.Errorf("export HOME=/some/writable/dir", "find a place for data: HOME is not set, and uid %d has no home in /etc/passwd", os.Geteuid())
	}
	return u.Home, nil
}

// graphRoot follows containers-storage.conf(5): the file of CONTAINERS_STORAGE_CONF, or the user's, whose graphroot counts;
// else the system's, of which an ordinary user takes rootless_storage_path only.
func graphRoot(data string) (string, error) {
	fallback := filepath.Join(data, "containers/storage")
	key := "graphroot"
	for _, file := range confFiles() {
		b, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			if os.Geteuid() != 0 {
				key = "rootless_storage_path"
			}
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read storage configuration: %w", err)
		}
		if v := setting(string(b), key); v != "" {
			return expand(v), nil
		}
		return fallback, nil
	}
	return fallback, nil
}

// confFiles are tried in order; the first that exists counts. The first is the user's.
func confFiles() []string {
	system := []string{"/etc/containers/storage.conf", "/usr/share/containers/storage.conf"}
	if file := os.Getenv("CONTAINERS_STORAGE_CONF"); file != "" {
		return []string{file}
	}
	if os.Geteuid() == 0 {
		return system
	}
	config := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(config) {
		home, err := HomeDir()
		if err != nil {
			return system
		}
		config = filepath.Join(home, ".config")
	}
	return append([]string{filepath.Join(config, "containers/storage.conf")}, system...)
}

// setting finds KEY = "VALUE" in the table [storage] of a TOML file. A whole TOML reader would cost each start more than the
// rest of Open; rl-image reads the file with one, and refuses what is wrong with it.
func setting(conf, key string) (value string) {
	table := ""
	for line := range strings.Lines(conf) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			table = strings.TrimSpace(strings.Split(line, "#")[0])
			continue
		}
		k, v, ok := strings.Cut(line, "=")
		if !ok || table != "[storage]" || strings.Trim(strings.TrimSpace(k), `"'`) != key {
			continue
		}
		v = strings.TrimSpace(v)
		if strings.HasPrefix(v, "'") {
			value, _, _ = strings.Cut(v[1:], "'")
		} else if quoted, err := strconv.QuotedPrefix(v); err == nil {
			value, _ = strconv.Unquote(quoted)
		}
	}
	return value
}

// expand replaces $HOME, $USER, $UID and other variables, as containers/storage does.
func expand(path string) string {
	return os.Expand(path, func(name string) string {
		switch name {
		case "UID":
			return strconv.Itoa(os.Geteuid())
		case "HOME":
			home, _ := HomeDir()
			return home
		}
		return os.Getenv(name)
	})
}
