package files

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

type lister struct {
	c     *tool.Call
	o     *tool.Options
	names map[string]string // user and group names by "u0", "g0"
}

type entry struct {
	name string // as shown
	path string
	info fs.FileInfo
	st   *syscall.Stat_t
}

func ls(c *tool.Call) error {
	// There are no colours, so all values of --color mean the same.
	c.Args = slices.DeleteFunc(c.Args, func(a string) bool { return strings.HasPrefix(a, "--color") })
	o, args, err := c.Options("laA1dRhintrSFLCp", "all=a", "almost-all=A", "human-readable=h", "recursive=R", "directory=d")
	if err != nil {
		return err
	}
	l := &lister{c, o, map[string]string{}}
	if len(args) == 0 {
		args = []string{"."}
	}
	var plain, dirs []entry
	for _, a := range args {
		e, err := l.entry(a, a, o.Has('L') || !o.Has('l') && !o.Has('d'))
		switch {
		case err != nil:
			c.Warn(fmt.Errorf("cannot access %s", tool.Reason(err)))
			c.Code = 2
		case e.info.IsDir() && !o.Has('d'):
			dirs = append(dirs, e)
		default:
			plain = append(plain, e)
		}
	}
	l.sort(plain)
	l.print(plain, false)
	l.sort(dirs)
	for i, d := range dirs {
		if len(args) > 1 || o.Has('R') {
			if i > 0 || len(plain) > 0 {
				c.Printf("\n")
			}
			c.Printf("%s:\n", d.name)
		}
		l.directory(d.path)
	}
	return nil
}

func (l *lister) entry(name, path string, follow bool) (entry, error) {
	info, err := os.Lstat(path)
	if err == nil && follow && info.Mode()&fs.ModeSymlink != 0 {
		if target, e := os.Stat(path); e == nil {
			info = target
		}
	}
	if err != nil {
		return entry{}, err
	}
	return entry{name, path, info, info.Sys().(*syscall.Stat_t)}, nil
}

func (l *lister) directory(path string) {
	list, err := os.ReadDir(path)
	if err != nil {
		l.c.Warn(err)
		l.c.Code = 2
	}
	var all []entry
	add := func(name string) {
		e, err := l.entry(name, filepath.Join(path, name), l.o.Has('L'))
		if err != nil {
			l.c.Warn(err)
			return
		}
		all = append(all, e)
	}
	if l.o.Has('a') {
		add(".")
		add("..")
	}
	for _, d := range list {
		if !strings.HasPrefix(d.Name(), ".") || l.o.Has('a') || l.o.Has('A') {
			add(d.Name())
		}
	}
	l.sort(all)
	l.print(all, true)
	if !l.o.Has('R') {
		return
	}
	for _, e := range all {
		if e.info.IsDir() && e.name != "." && e.name != ".." {
			l.c.Printf("\n%s:\n", filepath.Join(path, e.name))
			l.directory(filepath.Join(path, e.name))
		}
	}
}

func (l *lister) sort(all []entry) {
	slices.SortStableFunc(all, func(a, b entry) int {
		order := 0
		switch l.o.Last("tS") {
		case 't':
			order = b.info.ModTime().Compare(a.info.ModTime())
		case 'S':
			order = int(min(1, max(-1, b.info.Size()-a.info.Size())))
		}
		if order == 0 {
			order = strings.Compare(a.name, b.name)
		}
		if l.o.Has('r') {
			order = -order
		}
		return order
	})
}

func (l *lister) print(all []entry, total bool) {
	switch {
	case l.o.Has('l') || l.o.Has('n'):
		if total {
			var blocks int64
			for _, e := range all {
				blocks += e.st.Blocks
			}
			l.c.Printf("total %s\n", l.size(blocks*512, 1024))
		}
		l.long(all)
	case l.o.Has('C') || !l.o.Has('1') && term.IsTerminal(1):
		l.columns(all)
	default:
		for _, e := range all {
			l.c.Printf("%s%s\n", l.inode(e), l.shown(e))
		}
	}
}

func (l *lister) inode(e entry) string {
	if !l.o.Has('i') {
		return ""
	}
	return strconv.FormatUint(e.st.Ino, 10) + " "
}

// shown is a name; on a terminal without the control characters that could drive it.
func (l *lister) shown(e entry) string {
	name := e.name
	if term.IsTerminal(1) {
		name = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return '?'
			}
			return r
		}, name)
	}
	switch mode := e.info.Mode(); {
	case !l.o.Has('F') && !(l.o.Has('p') && mode.IsDir()):
	case mode.IsDir():
		name += "/"
	case mode&fs.ModeSymlink != 0:
		name += "@"
	case mode&fs.ModeNamedPipe != 0:
		name += "|"
	case mode&fs.ModeSocket != 0:
		name += "="
	case mode&0o111 != 0:
		name += "*"
	}
	return name
}

func (l *lister) columns(all []entry) {
	width, _, err := term.GetSize(1)
	if err != nil || width == 0 {
		width = 80
	}
	widest := 1
	for _, e := range all {
		widest = max(widest, len([]rune(l.inode(e)+l.shown(e)))+2)
	}
	columns := max(1, width/widest)
	rows := (len(all) + columns - 1) / columns
	for row := range rows {
		for i := row; i < len(all); i += rows {
			name := l.inode(all[i]) + l.shown(all[i])
			if i+rows < len(all) {
				name += strings.Repeat(" ", widest-len([]rune(name)))
			}
			l.c.Printf("%s", name)
		}
		l.c.Printf("\n")
	}
}

func (l *lister) long(all []entry) {
	rows := make([][6]string, len(all))
	var widths [6]int
	for i, e := range all {
		size := l.size(e.info.Size(), 1)
		if e.info.Mode()&fs.ModeDevice != 0 {
			size = fmt.Sprintf("%d, %d", unix.Major(e.st.Rdev), unix.Minor(e.st.Rdev))
		}
		rows[i] = [6]string{modeString(e.st.Mode), strconv.FormatUint(uint64(e.st.Nlink), 10), l.owner('u', e.st.Uid), l.owner('g', e.st.Gid), size, when(e.info.ModTime())}
		for k, cell := range rows[i] {
			widths[k] = max(widths[k], len(cell))
		}
	}
	for i, e := range all {
		r := rows[i]
		link := ""
		if e.info.Mode()&fs.ModeSymlink != 0 {
			target, _ := os.Readlink(e.path)
			link = " -> " + target
		}
		l.c.Printf("%s%s %*s %-*s %-*s %*s %s %s%s\n", l.inode(e), r[0], widths[1], r[1], widths[2], r[2], widths[3], r[3], widths[4], r[4], r[5], l.shown(e), link)
	}
}

func (l *lister) size(n, unit int64) string {
	if l.o.Has('h') {
		return Human(n)
	}
	return strconv.FormatInt((n+unit-1)/unit, 10)
}

// Human is a size as ls -h and df -h show it.
func Human(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	f := float64(n)
	for _, unit := range "KMGTPE" {
		f /= 1024
		if f < 9.95 {
			return fmt.Sprintf("%.1f%c", f, unit)
		}
		if f < 1023.5 || unit == 'E' {
			return fmt.Sprintf("%.0f%c", f, unit)
		}
	}
	return strconv.FormatInt(n, 10)
}

func (l *lister) owner(kind byte, id uint32) string {
	number := strconv.FormatUint(uint64(id), 10)
	if l.o.Has('n') {
		return number
	}
	key := string(kind) + number
	if _, known := l.names[key]; !known {
		l.names[key] = ownerName(kind, number)
	}
	return l.names[key]
}

func ownerName(kind byte, number string) string {
	if kind == 'u' {
		if u, err := user.LookupId(number); err == nil {
			return u.Username
		}
	} else if g, err := user.LookupGroupId(number); err == nil {
		return g.Name
	}
	return number
}

// when is a time as ls -l shows it: of the last half year with the hour, else with the year.
func when(t time.Time) string {
	if age := time.Since(t); age > 182*24*time.Hour || age < -time.Hour {
		return t.Format("Jan _2  2006")
	}
	return t.Format("Jan _2 15:04")
}

// modeString is st_mode as ls -l shows it.
func modeString(mode uint32) string {
	kind := map[uint32]byte{unix.S_IFDIR: 'd', unix.S_IFLNK: 'l', unix.S_IFCHR: 'c', unix.S_IFBLK: 'b', unix.S_IFIFO: 'p', unix.S_IFSOCK: 's'}[mode&unix.S_IFMT]
	if kind == 0 {
		kind = '-'
	}
	b := []byte(string(kind) + "rwxrwxrwx")
	for i := range 9 {
		if mode&(1<<(8-i)) == 0 {
			b[i+1] = '-'
		}
	}
	for _, s := range []struct {
		bit uint32
		at  int
		set byte
	}{{0o4000, 3, 's'}, {0o2000, 6, 's'}, {0o1000, 9, 't'}} {
		if mode&s.bit == 0 {
			continue
		}
		if b[s.at] == '-' {
			b[s.at] = s.set - 'a' + 'A'
		} else {
			b[s.at] = s.set
		}
	}
	return string(b)
}

func stat(c *tool.Call) error {
	o, names, err := c.Options("c:Lft", "format=c", "dereference=L")
	if err != nil {
		return err
	}
	if o.Has('f') || o.Has('t') {
		return tool.Usage("-f and -t are not there")
	}
	for _, name := range names {
		var st unix.Stat_t
		err := unix.Lstat(name, &st)
		if o.Has('L') {
			err = unix.Stat(name, &st)
		}
		if err != nil {
			c.Warn(fmt.Errorf("cannot stat %s", tool.Reason(&fs.PathError{Path: name, Err: err})))
			continue
		}
		format := o.Get('c')
		if format == "" {
			format = "  File: %N\n  Size: %s\tBlocks: %b\tIO Block: %o\t%F\nDevice: %D\tInode: %i\tLinks: %h\n" +
				"Access: (%a/%A)  Uid: (%u/%U)  Gid: (%g/%G)\nAccess: %x\nModify: %y\nChange: %z"
		}
		c.Printf("%s\n", statFormat(format, name, &st))
	}
	return nil
}

func statFormat(format, name string, st *unix.Stat_t) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		b.WriteString(statField(format[i], name, st))
	}
	return b.String()
}

func statField(letter byte, name string, st *unix.Stat_t) string {
	moment := func(t unix.Timespec) string { return time.Unix(t.Unix()).Format("2006-01-02 15:04:05.000000000 -0700") }
	switch letter {
	case 'n':
		return name
	case 'N':
		if target, err := os.Readlink(name); err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			return "'" + name + "' -> '" + target + "'"
		}
		return "'" + name + "'"
	case 'F':
		return fileType(st)
	case 'A':
		return modeString(st.Mode)
	case 'U':
		return ownerName('u', strconv.Itoa(int(st.Uid)))
	case 'G':
		return ownerName('g', strconv.Itoa(int(st.Gid)))
	case 'x':
		return moment(st.Atim)
	case 'y':
		return moment(st.Mtim)
	case 'z':
		return moment(st.Ctim)
	case '%':
		return "%"
	}
	numbers := map[byte][2]any{'s': {"%d", st.Size}, 'b': {"%d", st.Blocks}, 'B': {"%d", 512}, 'o': {"%d", st.Blksize}, 'a': {"%o", st.Mode & 0o7777},
		'f': {"%x", st.Mode}, 'i': {"%d", st.Ino}, 'h': {"%d", st.Nlink}, 'u': {"%d", st.Uid}, 'g': {"%d", st.Gid}, 'd': {"%d", st.Dev}, 'D': {"%xh", st.Dev},
		'X': {"%d", st.Atim.Sec}, 'Y': {"%d", st.Mtim.Sec}, 'Z': {"%d", st.Ctim.Sec}, 't': {"%x", unix.Major(st.Rdev)}, 'T': {"%x", unix.Minor(st.Rdev)}}
	if n, ok := numbers[letter]; ok {
		return fmt.Sprintf(n[0].(string), n[1])
	}
	return "?"
}

func fileType(st *unix.Stat_t) string {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "symbolic link"
	case unix.S_IFCHR:
		return "character special file"
	case unix.S_IFBLK:
		return "block special file"
	case unix.S_IFIFO:
		return "fifo"
	case unix.S_IFSOCK:
		return "socket"
	}
	if st.Size == 0 {
		return "regular empty file"
	}
	return "regular file"
}
