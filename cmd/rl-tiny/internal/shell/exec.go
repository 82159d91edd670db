package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/text"
)

// exec runs what is neither a function nor a builtin of the interpreter.
func (s *shell) exec(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	switch args[0] {
	case cmdBackground:
		return s.background(ctx, hc, args[1])
	case cmdWait:
		return s.wait(hc, args[1:])
	case cmdKill:
		return s.kill(hc, args[1:])
	case cmdEcho:
		return s.print(ctx, hc, "echo", text.Echo, args[1:])
	case cmdPrintf:
		return s.print(ctx, hc, "printf", text.Printf, args[1:])
	case cmdUmask:
		return umask(hc, args[1:])
	case cmdUlimit:
		return ulimit(hc, args[1:])
	case cmdExec:
		return s.replace(hc, args[1:])
	case cmdRunExit:
		err := s.run(ctx, hc, args[1:])
		return hc.Builtin(ctx, []string{"exit", strconv.Itoa(exitCode(err))})
	case cmdStatus:
		n, _ := strconv.Atoi(args[1])
		return status(n)
	}
	if s.tail.IsValid() && hc.Pos == s.tail {
		return s.replace(hc, args)
	}
	return s.run(ctx, hc, args)
}

func status(n int) error {
	if n == 0 {
		return nil
	}
	return interp.ExitStatus(uint8(n))
}

// run starts a program and waits for it.
func (s *shell) run(ctx context.Context, hc interp.HandlerContext, args []string) error {
	path, err := s.lookPath(hc, args[0])
	if err != nil {
		return err
	}
	files, finish, err := streams(hc)
	if err != nil {
		return fail(hc, args[0], err)
	}
	attr := &syscall.ProcAttr{Dir: hc.Dir, Env: environ(hc.Env), Files: files}
	began := time.Now()
	pid, done, err := s.children.start(path, args, attr)
	if errors.Is(err, unix.ENOEXEC) { // a script without #!
		pid, done, err = s.children.start(selfExe, append([]string{"sh", path}, args[1:]...), attr)
	}
	finish.started()
	if err != nil {
		finish.wait()
		return fail(hc, args[0], err)
	}
	end := foreground(ctx, pid, done, began)
	finish.wait()
	s.settle(end)
	return status(code(end))
}

// foreground waits for a program. The terminal sends Ctrl-C to it as well as to the shell; one that was about to start as the
// key was pressed missed it, and gets it from here.
func foreground(ctx context.Context, pid int, done chan syscall.WaitStatus, began time.Time) syscall.WaitStatus {
	select {
	case end := <-done:
		return end
	case <-ctx.Done():
	}
	if time.Since(began) < 100*time.Millisecond {
		syscall.Kill(pid, unix.SIGINT)
	}
	return <-done
}

// replace makes the program take the place of the shell. It returns only when that is not possible.
func (s *shell) replace(hc interp.HandlerContext, args []string) error {
	path, err := s.lookPath(hc, args[0])
	if err != nil {
		return err
	}
	if err := os.Chdir(hc.Dir); err != nil {
		return fail(hc, args[0], err)
	}
	if err := takeStreams(hc); err != nil {
		return fail(hc, args[0], err)
	}
	env := environ(hc.Env)
	err = syscall.Exec(path, args, env)
	if errors.Is(err, unix.ENOEXEC) {
		err = syscall.Exec(selfExe, append([]string{"sh", path}, args[1:]...), env)
	}
	return fail(hc, args[0], err)
}

// takeStreams makes the streams of a command the descriptors 0 to 2. They are copied out of the way first: each may be
// another's number.
func takeStreams(hc interp.HandlerContext) error {
	var copies [3]int
	for i, f := range []any{hc.Stdin, hc.Stdout, hc.Stderr} {
		copies[i] = -1
		file, ok := f.(*os.File)
		if !ok || file == nil {
			continue
		}
		fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 10)
		if err != nil {
			return err
		}
		copies[i] = fd
	}
	for i, fd := range copies {
		if fd < 0 {
			unix.Close(i)
		} else if err := unix.Dup3(fd, i, 0); err != nil {
			return err
		}
	}
	return nil
}

// fail tells why a program could not be run, with the exit code that POSIX gives to it.
func fail(hc interp.HandlerContext, name string, err error) error {
	why, n := err.Error(), 126
	switch {
	case errors.Is(err, unix.ENOENT):
		why, n = "not found", 127
	case errors.Is(err, unix.EACCES):
		why = "Permission denied"
	}
	fmt.Fprintf(hc.Stderr, "sh: %s: %s\n", name, why)
	return status(n)
}

// lookPath finds a program as the shell does. Programs of this binary are there even if PATH doesn't lead to them.
func (s *shell) lookPath(hc interp.HandlerContext, name string) (string, error) {
	if strings.Contains(name, "/") {
		path := name
		if !filepath.IsAbs(path) {
			path = filepath.Join(hc.Dir, path)
		}
		if info, err := os.Stat(path); err != nil {
			return "", fail(hc, name, err)
		} else if info.IsDir() {
			return "", fail(hc, name, unix.EACCES)
		}
		return path, nil
	}
	var found error = unix.ENOENT
	for _, dir := range filepath.SplitList(hc.Env.Get("PATH").String()) {
		path := filepath.Join(dir, name)
		if !filepath.IsAbs(path) {
			path = filepath.Join(hc.Dir, path)
		}
		info, err := os.Stat(path)
		if err != nil || info.IsDir() {
			continue
		}
		if unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
		found = unix.EACCES
	}
	if name != "" && s.isProgram(name) {
		return selfExe, nil
	}
	return "", fail(hc, name, found)
}

const selfExe = "/proc/self/exe"

// variables are those of env; a later word about a name replaces an earlier one.
func variables(env expand.Environ) map[string]expand.Variable {
	all := map[string]expand.Variable{}
	env.Each(func(name string, v expand.Variable) bool {
		if all[name] = v; !v.IsSet() || v.Kind != expand.String || !syntax.ValidName(name) {
			delete(all, name)
		}
		return true
	})
	return all
}

// environ are the exported variables.
func environ(env expand.Environ) []string {
	var list []string
	for name, v := range variables(env) {
		if v.Exported {
			list = append(list, name+"="+v.Str)
		}
	}
	slices.Sort(list)
	return list
}

// pumps copy between a program and streams of the interpreter that are no files.
type pumps struct {
	close []*os.File
	done  []chan struct{}
}

func (p *pumps) started() {
	for _, f := range p.close {
		f.Close()
	}
	p.close = nil
}

func (p *pumps) wait() {
	p.started()
	for _, d := range p.done {
		<-d
	}
}

// streams are the descriptors 0 to 2 of a program.
func streams(hc interp.HandlerContext) ([]uintptr, *pumps, error) {
	p := &pumps{}
	var files []uintptr
	if in, ok := hc.Stdin.(*os.File); ok && in != nil {
		files = append(files, in.Fd())
	} else {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return nil, nil, err
		}
		p.close = append(p.close, null)
		files = append(files, null.Fd())
	}
	for i, w := range []io.Writer{hc.Stdout, hc.Stderr} {
		if i == 1 && w == hc.Stdout {
			files = append(files, files[1])
			break
		}
		f, err := p.writer(w)
		if err != nil {
			p.started()
			return nil, nil, err
		}
		files = append(files, f.Fd())
	}
	return files, p, nil
}

func (p *pumps) writer(w io.Writer) (*os.File, error) {
	if f, ok := w.(*os.File); ok {
		return f, nil
	}
	r, pipe, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	p.close, p.done = append(p.close, pipe), append(p.done, done)
	go func() {
		io.Copy(w, r)
		r.Close()
		close(done)
	}()
	return pipe, nil
}

// background starts a shell for "LIST &". It gets the variables, functions and parameters by a file in memory.
func (s *shell) background(ctx context.Context, hc interp.HandlerContext, list string) error {
	state, err := s.state(hc)
	if err != nil {
		return fail(hc, "&", err)
	}
	defer state.Close()
	hc.Stdin = nil // without job control a background job reads nothing of the terminal (POSIX 2.9.3.1)
	files, finish, err := streams(hc)
	if err != nil {
		return fail(hc, "&", err)
	}
	attr := &syscall.ProcAttr{Dir: hc.Dir, Env: environ(hc.Env), Files: append(files, state.Fd())}
	pid, done, err := s.children.start(selfExe, []string{"sh", "--background", list, s.name}, attr)
	finish.started()
	if err != nil {
		return fail(hc, "&", err)
	}
	s.children.add(pid, done)
	return hc.Builtin(ctx, []string{"eval", fmt.Sprintf("%s=%d", varLast, pid)})
}

// state is a script that makes another shell like this one.
func (s *shell) state(hc interp.HandlerContext) (*os.File, error) {
	var b strings.Builder
	for name, v := range variables(hc.Env) {
		if !v.ReadOnly && !v.Exported {
			fmt.Fprintf(&b, "%s=%s\n", name, quote(v.Str))
		}
	}
	for name, body := range s.runner.Funcs {
		fmt.Fprintf(&b, "%s() %s\n", name, source(body))
	}
	if params := hc.Env.Get("@"); len(params.List) > 0 {
		fmt.Fprintf(&b, "set -- %s\n", quoteAll(params.List))
	}
	fd, err := unix.MemfdCreate("state", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "state")
	if _, err := f.WriteString(b.String()); err != nil {
		return nil, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}

func exitCode(err error) int {
	var n interp.ExitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &n):
		return int(n)
	}
	return 1
}
