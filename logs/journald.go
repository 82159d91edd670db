package logs

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

// journalSocket is where systemd-journald takes records: one a datagram, by its native protocol
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL).
const journalSocket = "/run/systemd/journal/socket"

// journal is the log of journald, with the fields that docker and podman write.
type journal struct {
	mu     sync.Mutex
	fd     int
	common []byte
	out    []byte
	lost   int
}

func openJournal(socket string, c Config, who Who) (Writer, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		unix.Close(fd)
		return nil, hint.Errorf("--log-driver k8s-file (the default) needs nothing", "open log: connect to %s: %w", socket, err)
	}
	// A journal that is slower than the container holds it up for so long, and then loses a record.
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Usec: 500_000})
	tag := c.Tag
	if tag == "" {
		tag = short(who.ID)
	}
	j := &journal{fd: fd}
	for _, f := range [][2]string{{"CONTAINER_ID", short(who.ID)}, {"CONTAINER_ID_FULL", who.ID}, {"CONTAINER_NAME", who.Name},
		{"CONTAINER_TAG", tag}, {"SYSLOG_IDENTIFIER", tag}, {"IMAGE_NAME", who.Image}} {
		j.common = appendField(j.common, f[0], []byte(f[1]))
	}
	return j, nil
}

// appendField writes the length of a value: it may hold newlines.
func appendField(to []byte, name string, value []byte) []byte {
	to = append(append(to, name...), '\n')
	to = binary.LittleEndian.AppendUint64(to, uint64(len(value)))
	return append(append(to, value...), '\n')
}

func (j *journal) Write(stream int, b []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte("\n"))
		b = rest
		if j.lost > 0 && j.send(2, fmt.Appendf(nil, "rl: %d lines of output were not kept here", j.lost), true) {
			j.lost = 0
		}
		if !j.send(stream, line, whole) {
			j.lost++
		}
	}
}

func (j *journal) send(stream int, line []byte, whole bool) bool {
	priority := "6" // info
	if stream == 2 {
		priority = "3" // err
	}
	j.out = append(j.out[:0], j.common...)
	j.out = appendField(j.out, "PRIORITY", []byte(priority))
	j.out = appendField(j.out, "MESSAGE", line)
	if !whole {
		j.out = appendField(j.out, "CONTAINER_PARTIAL_MESSAGE", []byte("true"))
	}
	flags := unix.MSG_NOSIGNAL
	if j.lost > 0 {
		flags |= unix.MSG_DONTWAIT
	}
	return unix.Send(j.fd, j.out, flags) == nil
}

func (j *journal) Close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	unix.Close(j.fd)
	j.fd = -1
}

// readJournal asks journalctl. Any user may write records with any field but those that begin with _: only the caller's own count.
func readJournal(who Who, o *Options, p *printer) error {
	const program = "/usr/bin/journalctl"
	if unix.Access(program, unix.X_OK) != nil {
		return hint.Errorf("install systemd, or --log-driver k8s-file", "read log: %s, which reads the journal, is not installed", program)
	}
	args := []string{"--output=json", "--all", "--quiet", "--no-pager", "CONTAINER_ID_FULL=" + who.ID, "_UID=" + strconv.Itoa(os.Getuid())}
	if o.Tail >= 0 {
		args = append(args, "--lines="+strconv.Itoa(o.Tail))
	}
	if !o.Since.IsZero() {
		args = append(args, fmt.Sprintf("--since=@%d.%06d", o.Since.Unix(), o.Since.Nanosecond()/1000))
	}
	if !o.Until.IsZero() {
		args = append(args, fmt.Sprintf("--until=@%d.%06d", o.Until.Unix(), o.Until.Nanosecond()/1000))
	}
	if o.Follow {
		args = append(args, "--follow")
		if o.Tail < 0 {
			args = append(args, "--no-tail")
		}
	}
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	if o.Follow {
		go endJournal(cmd.Process, o)
	}
	err = showJournal(out, o, p)
	cmd.Process.Kill()
	cmd.Wait()
	return err
}

// endJournal ends a journalctl that follows a container which has ended.
func endJournal(p *os.Process, o *Options) {
	for !o.Ended() && (o.Until.IsZero() || time.Now().Before(o.Until)) {
		time.Sleep(200 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond) // the journal has what was written by now, and journalctl shows it
	p.Signal(syscall.SIGTERM)
}

func showJournal(from io.Reader, o *Options, p *printer) error {
	lines := bufio.NewReaderSize(from, blockSize)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			if e, ok := parseJournal(line); ok {
				if err := p.entry(&e); err != nil && err != errUntil {
					return err
				}
			}
		}
		if err != nil {
			return errors.Join(p.flush(), eof(err))
		}
		if lines.Buffered() == 0 {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
}

func eof(err error) error {
	if err == io.EOF {
		return nil
	}
	return fmt.Errorf("read journal: %w", err)
}

// parseJournal reads a line of journalctl --output=json: values are texts, or arrays of bytes where they are not UTF-8.
func parseJournal(line []byte) (e Entry, ok bool) {
	var r struct {
		Message   json.RawMessage `json:"MESSAGE"`
		Priority  string          `json:"PRIORITY"`
		Partial   string          `json:"CONTAINER_PARTIAL_MESSAGE"`
		Timestamp string          `json:"__REALTIME_TIMESTAMP"` // microseconds
	}
	if json.Unmarshal(line, &r) != nil {
		return e, false
	}
	var text string
	var numbers []uint16
	switch {
	case json.Unmarshal(r.Message, &text) == nil:
		e.Text = []byte(text)
	case json.Unmarshal(r.Message, &numbers) == nil:
		for _, n := range numbers {
			e.Text = append(e.Text, byte(n))
		}
	default:
		return e, false
	}
	micro, err := strconv.ParseInt(r.Timestamp, 10, 64)
	e.Time, e.Stream, e.Partial = time.UnixMicro(micro).UTC(), 1, r.Partial == "true"
	if r.Priority == "3" {
		e.Stream = 2
	}
	return e, err == nil
}
