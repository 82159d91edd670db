package files

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

// each runs f on the names, and on what is below them if recursive. Links below are not followed.
func each(c *tool.Call, names []string, recursive bool, f func(path string) error) {
	for _, name := range names {
		if !recursive {
			if err := f(name); err != nil {
				c.Warn(err)
			}
			continue
		}
		filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
			if err == nil && (path == name || d.Type()&fs.ModeSymlink == 0) {
				err = f(path)
			}
			if err != nil {
				c.Warn(err)
			}
			return nil
		})
	}
}

func chmod(c *tool.Call) error {
	// "-x" is a mode, not an option.
	recursive := false
	args := c.Args
	for len(args) > 0 && (args[0] == "-R" || args[0] == "--") {
		recursive = recursive || args[0] == "-R"
		args = args[1:]
	}
	if len(args) < 2 {
		return tool.Usage("chmod [-R] MODE FILE...")
	}
	each(c, args[1:], recursive, func(path string) error { return changeMode(path, args[0]) })
	return nil
}

func changeMode(path, mode string) error {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: err}
	}
	m, err := parseMode(mode, st.Mode)
	if err != nil {
		return err
	}
	if err := unix.Chmod(path, m); err != nil {
		return &fs.PathError{Op: "chmod", Path: path, Err: err}
	}
	return nil
}

// parseMode applies an octal or symbolic mode (chmod(1)) to old, which has the type of the file in it.
func parseMode(mode string, old uint32) (uint32, error) {
	if n, err := strconv.ParseUint(mode, 8, 12); err == nil {
		return uint32(n), nil
	}
	umask := uint32(unix.Umask(0))
	unix.Umask(int(umask))
	m := old & 0o7777
	for clause := range strings.SplitSeq(mode, ",") {
		i := strings.IndexAny(clause, "+-=")
		if i < 0 {
			return 0, fmt.Errorf("invalid mode: %q", mode)
		}
		who, ok := modeWho(clause[:i])
		if !ok {
			return 0, fmt.Errorf("invalid mode: %q", mode)
		}
		allowed := who
		if clause[:i] == "" {
			who, allowed = 0o7777, 0o7777&^umask
		}
		bits, ok := modeBits(clause[i+1:], m, old)
		if !ok {
			return 0, fmt.Errorf("invalid mode: %q", mode)
		}
		switch clause[i] {
		case '+':
			m |= bits & allowed
		case '-':
			m &^= bits & allowed
		case '=':
			m = m&^(who&0o777) | bits&allowed
		}
	}
	return m, nil
}

func modeWho(s string) (mask uint32, ok bool) {
	for _, c := range s {
		switch c {
		case 'u':
			mask |= 0o4700
		case 'g':
			mask |= 0o2070
		case 'o':
			mask |= 0o1007
		case 'a':
			mask |= 0o7777
		default:
			return 0, false
		}
	}
	return mask, true
}

func modeBits(s string, m, old uint32) (bits uint32, ok bool) {
	for _, c := range s {
		switch c {
		case 'r':
			bits |= 0o444
		case 'w':
			bits |= 0o222
		case 'x':
			bits |= 0o111
		case 'X':
			if old&unix.S_IFMT == unix.S_IFDIR || m&0o111 != 0 {
				bits |= 0o111
			}
		case 's':
			bits |= 0o6000
		case 't':
			bits |= 0o1000
		case 'u':
			bits |= m >> 6 & 7 * 0o111
		case 'g':
			bits |= m >> 3 & 7 * 0o111
		case 'o':
			bits |= m & 7 * 0o111
		default:
			return 0, false
		}
	}
	return bits, true
}

// chown is chgrp too.
func chown(c *tool.Call) error {
	o, args, err := c.Options("Rh", "recursive=R", "no-dereference=h")
	if err != nil {
		return err
	}
	if len(args) < 2 {
		return tool.Usage("%s [-Rh] OWNER FILE...", c.Name)
	}
	owner := args[0]
	if c.Name == "chgrp" {
		owner = ":" + owner
	}
	uid, gid, err := parseOwner(owner)
	if err != nil {
		return err
	}
	change := os.Chown
	if o.Has('h') {
		change = os.Lchown
	}
	each(c, args[1:], o.Has('R'), func(path string) error { return change(path, uid, gid) })
	return nil
}

// parseOwner reads user[:[group]]; -1 is no change.
func parseOwner(s string) (uid, gid int, err error) {
	uid, gid = -1, -1
	name, group, colon := strings.Cut(s, ":")
	if name != "" {
		if uid, err = strconv.Atoi(name); err != nil {
			u, err := user.Lookup(name)
			if err != nil {
				return 0, 0, fmt.Errorf("invalid user: %q", name)
			}
			uid, _ = strconv.Atoi(u.Uid)
			if colon && group == "" {
				gid, _ = strconv.Atoi(u.Gid)
			}
		}
	}
	if group != "" {
		if gid, err = strconv.Atoi(group); err != nil {
			g, err := user.LookupGroup(group)
			if err != nil {
				return 0, 0, fmt.Errorf("invalid group: %q", group)
			}
			gid, _ = strconv.Atoi(g.Gid)
		}
	}
	return uid, gid, nil
}
