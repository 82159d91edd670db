package files

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

type inode struct{ dev, ino uint64 }

func du(c *tool.Call) error {
	o, names, err := c.Options("sahkbmcd:", "summarize=s", "all=a", "human-readable=h", "bytes=b", "total=c", "max-depth=d", "apparent-size=b")
	if err != nil {
		return err
	}
	depth, err := o.Int('d', 1<<30)
	if err != nil {
		return err
	}
	if o.Has('s') {
		depth = 0
	}
	if len(names) == 0 {
		names = []string{"."}
	}
	seen := map[inode]bool{}
	var all int64
	show := func(n int64, name string) {
		switch o.Last("hbkm") {
		case 'h':
			c.Printf("%s\t%s\n", Human(n), name)
		case 'b':
			c.Printf("%d\t%s\n", n, name)
		case 'm':
			c.Printf("%d\t%s\n", (n+1<<20-1)>>20, name)
		default:
			c.Printf("%d\t%s\n", (n+1023)/1024, name)
		}
	}
	var walk func(path string, level int) int64
	walk = func(path string, level int) int64 {
		info, err := os.Lstat(path)
		if err != nil {
			c.Warn(err)
			return 0
		}
		st := info.Sys().(*syscall.Stat_t)
		if key := (inode{st.Dev, st.Ino}); st.Nlink > 1 && !info.IsDir() {
			if seen[key] {
				return 0
			}
			seen[key] = true
		}
		n := st.Blocks * 512
		if o.Has('b') {
			n = st.Size
		}
		if info.IsDir() {
			entries, err := os.ReadDir(path)
			if err != nil {
				c.Warn(err)
			}
			for _, e := range entries {
				n += walk(filepath.Join(path, e.Name()), level+1)
			}
		}
		if level == 0 || level <= depth && (info.IsDir() || o.Has('a')) {
			show(n, path)
		}
		return n
	}
	for _, name := range names {
		all += walk(name, 0)
	}
	if o.Has('c') {
		show(all, "total")
	}
	return nil
}

func df(c *tool.Call) error {
	o, names, err := c.Options("hkmPia", "human-readable=h", "portability=P", "inodes=i")
	if err != nil {
		return err
	}
	mounts, err := tool.Mounts()
	if err != nil {
		return err
	}
	chosen := mounts
	if len(names) > 0 {
		chosen = nil
		for _, name := range names {
			m, err := mountOf(name, mounts)
			if err != nil {
				c.Warn(err)
				continue
			}
			chosen = append(chosen, m)
		}
	}
	table := [][]string{{"Filesystem", "1K-blocks", "Used", "Available", "Use%", "Mounted on"}}
	switch {
	case o.Has('i'):
		table[0] = []string{"Filesystem", "Inodes", "IUsed", "IFree", "IUse%", "Mounted on"}
	case o.Has('h'):
		table[0][1] = "Size"
	case o.Has('m'):
		table[0][1] = "1M-blocks"
	}
	for _, m := range chosen {
		var st unix.Statfs_t
		if err := unix.Statfs(m.Target, &st); err != nil || st.Blocks == 0 && len(names) == 0 && !o.Has('a') {
			continue
		}
		table = append(table, dfRow(m, &st, o))
	}
	printTable(c, table)
	return nil
}

func dfRow(m tool.Mount, st *unix.Statfs_t, o *tool.Options) []string {
	size, used, free := st.Blocks*uint64(st.Frsize), (st.Blocks-st.Bfree)*uint64(st.Frsize), st.Bavail*uint64(st.Frsize)
	show := func(n uint64) string { return strconv.FormatUint((n+1023)/1024, 10) }
	switch {
	case o.Has('i'):
		size, used, free = st.Files, st.Files-st.Ffree, st.Ffree
		show = func(n uint64) string { return strconv.FormatUint(n, 10) }
	case o.Has('h'):
		show = func(n uint64) string { return Human(int64(n)) }
	case o.Has('m'):
		show = func(n uint64) string { return strconv.FormatUint((n+1<<20-1)>>20, 10) }
	}
	percent := "-"
	if used+free > 0 {
		percent = fmt.Sprint((used*100+used+free-1)/(used+free), "%")
	}
	return []string{m.Source, show(size), show(used), show(free), percent, m.Target}
}

// mountOf is the mount that name is on: of those of its device the one with the longest path to it.
func mountOf(name string, mounts []tool.Mount) (tool.Mount, error) {
	real, err := canonical(name, false)
	if err != nil {
		return tool.Mount{}, err
	}
	best := tool.Mount{Source: "-", Target: real}
	length := 0
	for _, m := range mounts {
		if below := m.Target == "/" || real == m.Target || strings.HasPrefix(real, m.Target+"/"); below && len(m.Target) >= length {
			best, length = m, len(m.Target)
		}
	}
	return best, nil
}

func printTable(c *tool.Call, table [][]string) {
	widths := make([]int, len(table[0]))
	for _, row := range table {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range table {
		for i, cell := range row {
			switch {
			case i == 0:
				c.Printf("%-*s", widths[i], cell)
			case i == len(row)-1:
				c.Printf(" %s", cell)
			default:
				c.Printf(" %*s", widths[i], cell)
			}
		}
		c.Printf("\n")
	}
}
