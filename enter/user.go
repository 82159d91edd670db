package enter

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/sys"
)

// maxDatabase bounds /etc/passwd and /etc/group of an image.
const maxDatabase = 8 << 20

// identity is whom the program runs as.
type identity struct {
	uid, gid int
	groups   []int
	home     string
}

// lookup resolves the user by the passwd and group of the root file system: regular files of a sane size inside the root,
// or none at all.
func lookup(root *sys.Root, p *Process) (*identity, error) {
	passwd, err := database(root, "/etc/passwd")
	if err != nil {
		return nil, err
	}
	group, err := database(root, "/etc/group")
	if err != nil {
		return nil, err
	}
	if p.IDs != nil {
		return &identity{uid: p.IDs.UID, gid: p.IDs.GID, groups: p.IDs.Groups, home: homeOf(passwd, p.IDs.UID)}, nil
	}
	name := p.User
	if name == "" {
		name = "0"
	}
	u, err := user.GetExecUser(name, &user.ExecUser{Home: "/"}, bytes.NewReader(passwd), bytes.NewReader(group))
	if err != nil {
		return nil, hint.With(fmt.Errorf("find user %q: %w", p.User, err), "names must be in /etc/passwd and /etc/group of the image; numbers always work: -u 1000:1000")
	}
	id := &identity{uid: u.Uid, gid: u.Gid, groups: u.Sgids, home: u.Home}
	if len(p.Groups) > 0 {
		more, err := user.GetAdditionalGroups(p.Groups, bytes.NewReader(group))
		if err != nil {
			return nil, hint.With(fmt.Errorf("find groups %s: %w", strings.Join(p.Groups, ", "), err), "--group-add takes a name of /etc/group of the image, or a number")
		}
		id.groups = append(id.groups, more...)
	}
	return id, nil
}

// homeOf is what passwd says; "/" when it says nothing.
func homeOf(passwd []byte, uid int) string {
	u, err := user.ParsePasswdFilter(bytes.NewReader(passwd), func(u user.User) bool { return u.Uid == uid })
	if err != nil || len(u) == 0 || u[0].Home == "" {
		return "/"
	}
	return u[0].Home
}

func database(root *sys.Root, name string) ([]byte, error) {
	b, err := root.ReadFile(name, maxDatabase)
	// What is no file has no users: a pipe there would hang whoever reads it.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, sys.ErrNotRegular) {
		return nil, nil
	}
	if err != nil {
		return nil, hint.With(fmt.Errorf("%s of the image: %w", name, err), "the image is broken or hostile")
	}
	return b, nil
}

// addAccounts shows the program a passwd and a group with the caller's own line, when the image has none for that id
// (--userns=keep-id): many programs fail for a user without a name. Nothing is written to the image or its upper layer.
func (b *builder) addAccounts() error {
	for _, a := range []struct{ file, line string }{{"/etc/passwd", b.plan.Process.Passwd}, {"/etc/group", b.plan.Process.Group}} {
		if a.line == "" {
			continue
		}
		old, err := database(b.root, a.file)
		if err != nil {
			return err
		}
		if hasID(old, strings.Split(a.line, ":")[2]) {
			continue
		}
		if len(old) > 0 && old[len(old)-1] != '\n' {
			old = append(old, '\n')
		}
		name := strings.ReplaceAll(strings.TrimPrefix(a.file, "/"), "/", "-")
		if b.plan.Files == nil {
			b.plan.Files = map[string][]byte{}
		}
		b.plan.Files[name] = append(old, a.line+"\n"...)
		if err := b.mount(&Mount{Kind: File, Source: name, Target: a.file}, -1); err != nil {
			return fmt.Errorf("add a line to %s: %w", a.file, err)
		}
	}
	return nil
}

// hasID tells whether a line of passwd or group has id in its third field.
func hasID(db []byte, id string) bool {
	for line := range strings.SplitSeq(string(db), "\n") {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == id {
			return true
		}
	}
	return false
}

// become makes the thread the user: groups, gid, uid, in that order, each checked.
func become(id *identity, p *Process) error {
	if s := p.Single; s != nil && (id.uid != s.UID || id.gid != s.GID) {
		err := fmt.Errorf("run as user %q: the only user here is %d:%d, since you have no subordinate ids", p.User, s.UID, s.GID)
		if s.Fix != "" {
			err = hint.With(err, s.Fix)
		}
		return hint.With(err, fmt.Sprintf("run as that: -u %d:%d", s.UID, s.GID))
	}
	if !p.NoGroups && !p.KeepGroups {
		if err := setgroups(id.groups); err != nil {
			return fmt.Errorf("set groups %v: %w", id.groups, explainID(err))
		}
	}
	if err := rawSetresgid(id.gid); err != nil {
		return fmt.Errorf("set gid %d: %w", id.gid, explainID(err))
	}
	if err := rawSetresuid(id.uid); err != nil {
		return fmt.Errorf("set uid %d: %w", id.uid, explainID(err))
	}
	return nil
}

func explainID(err error) error {
	if errors.Is(err, unix.EINVAL) {
		return hint.With(err, "this id is outside of your subordinate ranges (cat /proc/self/uid_map inside; /etc/subuid and /etc/subgid here)")
	}
	return err
}

// setEnv gives key a value unless env has it.
func setEnv(env []string, key, value string) []string {
	for _, e := range env {
		if strings.HasPrefix(e, key+"=") {
			return env
		}
	}
	return append(env, key+"="+value)
}
