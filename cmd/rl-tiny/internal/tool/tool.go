// Package tool is what the small programs of rl-tiny share: their streams, options, errors and exit codes.
package tool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Call is one run of a program.
type Call struct {
	Name string
	Args []string // without the name
	In   *os.File
	Out  *bufio.Writer // flushed by Run
	Code int           // the exit code, as far as it is known
}

// Program is one of the small programs. What it returns is printed and makes the exit code 1 (or that of an *Exit).
type Program struct {
	Name string
	Run  func(*Call) error
}

// Exit is an error with an exit code of its own; Err may be nil.
type Exit struct {
	Code int
	Err  error
}

func (e *Exit) Error() string {
	if e.Err == nil {
		return "exit " + strconv.Itoa(e.Code)
	}
	return e.Err.Error()
}

// ErrUsage is a call with options or operands that the program doesn't know.
var ErrUsage = errors.New("usage")

// Usage is an ErrUsage with words.
func Usage(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrUsage}, a...)...)
}

// Run runs a program on the streams of this process and returns its exit code.
func Run(p *Program, args []string) int {
	c := &Call{Name: p.Name, Args: args, In: os.Stdin, Out: bufio.NewWriterSize(os.Stdout, 32<<10)}
	err := p.Run(c)
	if flush := c.Out.Flush(); err == nil {
		err = flush
	}
	var exit *Exit
	switch {
	case err == nil:
		return c.Code
	case errors.Is(err, unix.EPIPE):
		return 128 + int(unix.SIGPIPE) // only PID 1 gets here, it ignores the signal: others were ended by it
	case errors.As(err, &exit):
		if exit.Err != nil {
			c.Warn(exit.Err)
		}
		return exit.Code
	}
	c.Warn(err)
	if errors.Is(err, ErrUsage) {
		return 2
	}
	return 1
}

// Warn prints err after what was written until now; the exit code becomes 1 if it was 0.
func (c *Call) Warn(err error) {
	c.Out.Flush()
	fmt.Fprintf(os.Stderr, "%s: %s\n", c.Name, Reason(err))
	if c.Code == 0 {
		c.Code = 1
	}
}

// Reason is err in the words of strerror(3), after the name of the file: "f: No such file or directory".
func Reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Path + ": " + words(path.Err)
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		return link.New + ": " + words(link.Err)
	}
	return words(err)
}

func words(err error) string {
	s := err.Error()
	var errno unix.Errno
	if errors.As(err, &errno) && s == errno.Error() && s != "" {
		return strings.ToUpper(s[:1]) + s[1:]
	}
	return s
}

// Printf writes to the standard output.
func (c *Call) Printf(format string, a ...any) { fmt.Fprintf(c.Out, format, a...) }

// Each runs f over the named files, "-" and none being the standard input. A file that fails is told and the next one done.
func (c *Call) Each(names []string, f func(name string, r io.Reader) error) {
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		if err := c.one(name, f); err != nil {
			c.Warn(err)
		}
	}
}

func (c *Call) one(name string, f func(string, io.Reader) error) error {
	if name == "-" {
		return f("-", c.In)
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.IsDir() {
		return &fs.PathError{Op: "read", Path: name, Err: unix.EISDIR}
	}
	return f(name, file)
}

// Lines calls f with each line of r, without its end. A last line without one counts.
func Lines(r io.Reader, f func(line string) error) error {
	b := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := b.ReadString('\n')
		if line != "" {
			if err := f(strings.TrimSuffix(line, "\n")); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
