package logs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func parse(t *testing.T, driver string, options ...string) Config {
	t.Helper()
	c, err := Parse(driver, options)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *testing.T, dir string, c Config) Writer {
	t.Helper()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	w, err := Open(d, c, Who{ID: strings.Repeat("a", 64), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func read(t *testing.T, dir string, c Config, o Options) (stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	o.Stdout, o.Stderr = &out, &err
	if err := Read(dir, c, Who{}, o); err != nil {
		t.Fatal(err)
	}
	return out.String(), err.String()
}

func TestParse(t *testing.T) {
	c := parse(t, "json-file", "max-size=10m", "max-file=3", "tag={{ .Name }}/{{.ID}}")
	if c.MaxSize != 10<<20 || c.MaxFile != 3 {
		t.Errorf("%+v", c)
	}
	if err := c.Expand(Who{ID: strings.Repeat("ab", 32), Name: "web"}); err != nil || c.Tag != "web/abababababab" {
		t.Errorf("tag %q: %v", c.Tag, err)
	}
	for size, want := range map[string]int64{"1": 1, "2k": 2048, "1.5kB": 1536, "3MiB": 3 << 20, "1g": 1 << 30, "-1": 0} {
		if n, err := parseSize(size); n != want || err != nil {
			t.Errorf("%s is %d, %v, not %d", size, n, err, want)
		}
	}
	for _, wrong := range []string{"0", "-2", "k", "", "1x", "nan", "inf", "1e30g", "0.1"} {
		if n, err := parseSize(wrong); err == nil {
			t.Errorf("%q is %d", wrong, n)
		}
	}
	for _, wrong := range [][]string{{"x"}, {"max-file=0", "max-size=1k"}, {"max-file=2"}, {"path="}, {"other=1"}} {
		if _, err := Parse("k8s-file", wrong); err == nil {
			t.Errorf("%v was taken", wrong)
		}
	}
}

func TestWriteAndRead(t *testing.T) {
	for _, driver := range []string{K8sFile, JSONFile} {
		t.Run(driver, func(t *testing.T) {
			dir, c := t.TempDir(), parse(t, driver)
			w := open(t, dir, c)
			long := strings.Repeat("é", 30000)
			w.Write(1, []byte("one\ntwo"))
			w.Write(2, []byte("other\r\n\n"))
			w.Write(1, []byte(" goes on\n"+long))
			w.Write(1, []byte(long+"\nno end"))
			w.Close()
			w = open(t, dir, c)
			w.Write(1, []byte("\nlast\n"))
			w.Close()
			stdout, stderr := read(t, dir, c, Options{Tail: -1})
			if want := "one\ntwo goes on\n" + long + long + "\nno end\nlast\n"; stdout != want {
				t.Errorf("stdout is %.100q", stdout)
			}
			if stderr != "other\r\n\n" {
				t.Errorf("stderr is %q", stderr)
			}
			if st, err := os.Stat(filepath.Join(dir, FileName)); err != nil || st.Mode() != 0o600 {
				t.Errorf("%v %v", st.Mode(), err)
			}
		})
	}
}

func TestTail(t *testing.T) {
	for _, driver := range []string{K8sFile, JSONFile} {
		dir, c := t.TempDir(), parse(t, driver, "max-size=200k", "max-file=3")
		w := open(t, dir, c)
		for i := range 5000 {
			w.Write(1, fmt.Appendf(nil, "%d %s\n", i, strings.Repeat("x", i%300)))
		}
		all, _ := read(t, dir, c, Options{Tail: -1})
		lines := strings.SplitAfter(strings.TrimSuffix(all, "\n"), "\n")
		lines[len(lines)-1] += "\n"
		for _, n := range []int{0, 1, 2, 10, 300, 700, len(lines) - 1, len(lines), len(lines) + 1} {
			got, _ := read(t, dir, c, Options{Tail: n})
			if want := strings.Join(lines[max(0, len(lines)-n):], ""); got != want {
				t.Errorf("%s: the last %d of %d are %d bytes, not %d", driver, n, len(lines), len(got), len(want))
			}
		}
		w.Write(1, []byte("unfinished"))
		w.Close()
		if got, _ := read(t, dir, c, Options{Tail: 1}); got != "unfinished" {
			t.Errorf("%s: last line is %q", driver, got)
		}
	}
}

// TestTailReadsLittle: of a sparse file of 1 TB, which nobody could read whole.
func TestTailReadsLittle(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, FileName)
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 1<<40); err != nil {
		t.Skip("no sparse files of 1 TB here: ", err)
	}
	w := open(t, dir, Config{})
	w.Write(1, []byte("a\nb\nc\n"))
	w.Close()
	if got, _ := read(t, dir, Config{}, Options{Tail: 2}); got != "b\nc\n" {
		t.Errorf("%q", got)
	}
}

func TestTimes(t *testing.T) {
	dir := t.TempDir()
	base := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var b []byte
	for i := range 10 {
		b = appendCRI(b, appendStamp(nil, base.Add(time.Duration(i)*time.Second)), &Entry{Stream: 1, Text: []byte{byte('0' + i)}})
	}
	os.WriteFile(filepath.Join(dir, FileName), b, 0o600)
	o := Options{Tail: -1, Since: base.Add(3 * time.Second), Until: base.Add(5 * time.Second)}
	if got, _ := read(t, dir, Config{}, o); got != "3\n4\n5\n" {
		t.Errorf("%q", got)
	}
	o = Options{Tail: 2, Until: base.Add(5 * time.Second), Timestamps: true, Prefix: "p "}
	if got, _ := read(t, dir, Config{}, o); got != "p 2026-01-02T03:04:09.000000000Z 4\np 2026-01-02T03:04:10.000000000Z 5\n" {
		t.Errorf("%q", got)
	}
}

// TestTorn: a killed writer leaves a record without its end; foreign bytes are passed over.
func TestTorn(t *testing.T) {
	for _, driver := range []string{K8sFile, JSONFile} {
		dir, c := t.TempDir(), parse(t, driver)
		w := open(t, dir, c)
		w.Write(1, []byte("whole\nwas torn\n"))
		w.Close()
		name := filepath.Join(dir, FileName)
		st, _ := os.Stat(name)
		os.Truncate(name, st.Size()-10)
		for _, tail := range []int{-1, 1} {
			if got, _ := read(t, dir, c, Options{Tail: tail}); got != "whole\n" {
				t.Errorf("%s: %q", driver, got)
			}
		}
		w = open(t, dir, c)
		w.Write(1, []byte("goes on\n"))
		w.Close()
		if got, _ := read(t, dir, c, Options{Tail: -1}); !strings.HasPrefix(got, "whole\n") || !strings.HasSuffix(got, "goes on\n") {
			t.Errorf("%s: %q", driver, got)
		}
	}
}

// TestFull: what a full disk refuses is told when there is room again, and the records around it are whole.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, Config{}).(*file)
	defer w.Close()
	w.Write(1, []byte("before\n"))
	good := w.fd
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	w.fd = int(full.Fd())
	for range 3 {
		w.Write(1, []byte("lost\n"))
	}
	w.fd = good
	w.Write(1, []byte("after\n"))
	stdout, stderr := read(t, dir, Config{}, Options{Tail: -1})
	if stdout != "before\nafter\n" || stderr != "rl: about 15 bytes of output were not kept here: no space left on device\n" {
		t.Errorf("%q %q", stdout, stderr)
	}
}

// TestShortWrite: the file may get no more than a part of a record (here by RLIMIT_FSIZE).
func TestShortWrite(t *testing.T) {
	if os.Getenv("RL_SHORT") == "" {
		dir := t.TempDir()
		p, err := os.StartProcess("/proc/self/exe", []string{"logs.test", "-test.run=^TestShortWrite$"},
			&os.ProcAttr{Env: append(os.Environ(), "RL_SHORT="+dir), Files: []*os.File{nil, os.Stdout, os.Stderr}})
		if err != nil {
			t.Fatal(err)
		}
		if st, err := p.Wait(); err != nil || !st.Success() {
			t.Fatal(st, err)
		}
		stdout, stderr := read(t, dir, Config{}, Options{Tail: -1})
		if stdout != "first\nlast\n" || !strings.Contains(stderr, "2001 bytes") {
			t.Errorf("%q %q", stdout, stderr)
		}
		return
	}
	ignoreFileSize()
	w := open(t, os.Getenv("RL_SHORT"), Config{})
	w.Write(1, []byte("first\n"))
	limit(t, 1000)
	w.Write(1, append(bytes.Repeat([]byte("x"), 2000), '\n'))
	limit(t, unix.RLIM_INFINITY)
	w.Write(1, []byte("last\n"))
	w.Close()
}

func limit(t *testing.T, n uint64) {
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: unix.RLIM_INFINITY}); err != nil {
		t.Fatal(err)
	}
}

// TestFollow: a reader loses nothing while files rotate under it, however many and however fast, and ends.
func TestFollow(t *testing.T) {
	for _, files := range []string{"1", "3", "100"} {
		dir := t.TempDir()
		c := parse(t, K8sFile, "max-size=20k", "max-file="+files)
		w := open(t, dir, c)
		w.Write(1, []byte("begin\n"))
		ended := make(chan struct{})
		seen := &signalled{word: "begin", c: make(chan struct{})}
		done := make(chan string)
		go func() {
			var out bytes.Buffer
			o := Options{Tail: -1, Follow: true, Stdout: &tee{&out, seen}, Stderr: &out, Ended: func() bool {
				select {
				case <-ended:
					return true
				default:
					return false
				}
			}}
			if err := Read(dir, c, Who{}, o); err != nil {
				t.Error(err)
			}
			done <- out.String()
		}()
		<-seen.c
		var want strings.Builder
		want.WriteString("begin\n")
		for i := range 3000 {
			line := fmt.Sprintf("line %d\n", i)
			want.WriteString(line)
			w.Write(1, []byte(line))
		}
		w.Close()
		close(ended)
		got := <-done
		if files == "100" && got != want.String() {
			t.Errorf("of %d bytes %d were read", want.Len(), len(got))
		}
		if !strings.HasSuffix(got, "line 2999\n") {
			t.Errorf("max-file=%s: it ended with %.20q", files, got[max(0, len(got)-20):])
		}
		last := -1
		for line := range strings.Lines(got) {
			n := -1
			if _, err := fmt.Sscanf(line, "line %d", &n); err == nil && n <= last {
				t.Fatalf("line %d came after %d", n, last)
			}
			last = n
		}
	}
}

type signalled struct {
	word string
	c    chan struct{}
}

type tee struct {
	b *bytes.Buffer
	s *signalled
}

func (w *tee) Write(b []byte) (int, error) {
	w.b.Write(b)
	if w.s.c != nil && strings.Contains(w.b.String(), w.s.word) {
		close(w.s.c)
		w.s = &signalled{}
	}
	return len(b), nil
}

// TestGap: a writer that was killed within a rotation leaves a place empty; nothing of the others is lost, in their order.
func TestGap(t *testing.T) {
	c := parse(t, K8sFile, "max-size=1k", "max-file=5")
	for gap := range 5 {
		dir := t.TempDir()
		w := open(t, dir, c)
		for i := range 200 {
			w.Write(1, fmt.Appendf(nil, "%04d\n", i))
		}
		w.Close()
		want := ""
		for i := 4; i >= 0; i-- {
			name := filepath.Join(dir, numbered(FileName, i))
			if i == gap {
				os.Remove(name)
				continue
			}
			r := &reader{printer: newPrinter(&Options{Stdout: io.Discard, Stderr: io.Discard})}
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			r.parse = func(line []byte) (Entry, bool) {
				e, ok := parseCRI(line)
				want += string(e.Text) + "\n"
				return e, ok
			}
			r.records(b)
		}
		if got, _ := read(t, dir, c, Options{Tail: -1}); got != want {
			t.Errorf("without file %d: %d bytes, not %d", gap, len(got), len(want))
		}
		w = open(t, dir, c)
		w.Write(1, []byte("more\n"))
		w.Close()
		if got, _ := read(t, dir, c, Options{Tail: 1}); got != "more\n" {
			t.Errorf("without file %d: %q", gap, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	zone := time.FixedZone("test", 3600)
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, zone)
	for word, want := range map[string]time.Time{
		"10m":                       now.Add(-10 * time.Minute),
		"1h30m":                     now.Add(-90 * time.Minute),
		"2026-01-02":                time.Date(2026, 1, 2, 0, 0, 0, 0, zone),
		"2026-01-02T03":             time.Date(2026, 1, 2, 3, 0, 0, 0, zone),
		"2026-01-02T03:04":          time.Date(2026, 1, 2, 3, 4, 0, 0, zone),
		"2026-01-02T03:04:05.5":     time.Date(2026, 1, 2, 3, 4, 5, 5e8, zone),
		"2026-01-02T03:04:05.25Z":   time.Date(2026, 1, 2, 3, 4, 5, 25e7, time.UTC),
		"2026-01-02Z":               time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC),
		"2026-01-02T03:04:05+02:00": time.Date(2026, 1, 2, 1, 4, 5, 0, time.UTC),
		"1136073845":                time.Unix(1136073845, 0),
		"1136073845.000000001":      time.Unix(1136073845, 1),
		"-1.5":                      time.Unix(-1, -5e8),
	} {
		if got, err := ParseTime(word, now); err != nil || !got.Equal(want) {
			t.Errorf("%s is %v, %v, not %v", word, got, err, want)
		}
	}
	for _, wrong := range []string{"x", "2026-13-01", "12:00", "1.1234567890"} {
		if got, err := ParseTime(wrong, now); err == nil {
			t.Errorf("%s is %v", wrong, got)
		}
	}
}

func TestParseJournal(t *testing.T) {
	e, ok := parseJournal([]byte(`{"MESSAGE":[104,195,0],"PRIORITY":"3","__REALTIME_TIMESTAMP":"1500000000000001","CONTAINER_PARTIAL_MESSAGE":"true"}`))
	if !ok || string(e.Text) != "h\xc3\x00" || e.Stream != 2 || !e.Partial || e.Time.UnixMicro() != 1500000000000001 {
		t.Errorf("%+v", e)
	}
}

func FuzzCRI(f *testing.F) {
	f.Add([]byte("2026-01-02T03:04:05.000000006Z stdout F text"))
	f.Add([]byte("2026-01-02T03:04:05Z stderr P:x "))
	f.Fuzz(func(t *testing.T, line []byte) { roundTrip(t, line, parseCRI, appendCRI) })
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.000000006Z"}`))
	f.Add([]byte(`{"log":"\u0000\ud800","stream":"stderr","attrs":{"tag":"x"},"time":"2026-01-02T03:04:05Z"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		roundTrip(t, line, parseJSON, func(to, when []byte, e *Entry) []byte { return appendJSON(to, when, e, `{"tag":"x"}`) })
	})
}

// roundTrip: what is read can be written, and is the same when read again.
func roundTrip(t *testing.T, line []byte, parse func([]byte) (Entry, bool), write func(to, when []byte, e *Entry) []byte) {
	e, ok := parse(line)
	if !ok || bytes.Contains(line, []byte("\n")) || e.Time.Year() > 9999 || e.Time.Year() < 0 {
		return
	}
	record := write(nil, appendStamp(nil, e.Time), &e)
	if bytes.IndexByte(record, '\n') != len(record)-1 {
		t.Fatalf("%q is no line", record)
	}
	again, ok := parse(record[:len(record)-1])
	if !ok || again.Stream != e.Stream || again.Partial != e.Partial || !again.Time.Equal(e.Time) || !bytes.Equal(again.Text, e.Text) {
		t.Fatalf("%q was %+v, then %+v", line, e, again)
	}
}

// ignoreFileSize is what the monitor does.
func ignoreFileSize() { signal.Ignore(syscall.SIGXFSZ) }

func BenchmarkWrite(b *testing.B) {
	for _, driver := range []string{K8sFile, JSONFile} {
		b.Run(driver, func(b *testing.B) {
			dir, err := os.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer dir.Close()
			w, err := Open(dir, Config{Driver: driver, MaxSize: 10 << 20}, Who{})
			if err != nil {
				b.Fatal(err)
			}
			defer w.Close()
			chunk := bytes.Repeat([]byte("1234567\n"), 1024) // as a hub reads it
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				w.Write(1, chunk)
			}
		})
	}
}

// TestJournal: what is sent is what docker and podman send, and a journal that takes nothing more loses lines but holds nobody up.
func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	server, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	w, err := openJournal(path, Config{}, Who{ID: strings.Repeat("ab", 32), Name: "web", Image: "nginx"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.Write(2, []byte("one\ntwo"))
	first, second := receive(t, server), receive(t, server)
	for name, want := range map[string]string{"CONTAINER_ID": "abababababab", "CONTAINER_ID_FULL": strings.Repeat("ab", 32), "CONTAINER_NAME": "web",
		"IMAGE_NAME": "nginx", "SYSLOG_IDENTIFIER": "abababababab", "PRIORITY": "3", "MESSAGE": "one", "CONTAINER_PARTIAL_MESSAGE": ""} {
		if first[name] != want {
			t.Errorf("%s is %q, not %q", name, first[name], want)
		}
	}
	if second["MESSAGE"] != "two" || second["CONTAINER_PARTIAL_MESSAGE"] != "true" {
		t.Error(second)
	}
	// Nobody reads: the queue of the socket is full after some (net.unix.max_dgram_qlen).
	w.Write(1, bytes.Repeat([]byte("x\n"), 1000))
	lost := 1000
	for i := 0; ; i++ {
		if w.(*journal).lost == 0 {
			t.Skip("the queue of a socket takes a thousand datagrams here")
		}
		server.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := server.Read(make([]byte, 1<<16)); err != nil {
			break
		}
		lost--
	}
	w.Write(1, []byte("after\n"))
	if note := receive(t, server)["MESSAGE"]; note != fmt.Sprintf("rl: %d lines of output were not kept here", lost) {
		t.Error(note)
	}
	if after := receive(t, server)["MESSAGE"]; after != "after" {
		t.Error(after)
	}
}

// receive reads a datagram of the native protocol.
func receive(t *testing.T, from *net.UnixConn) map[string]string {
	t.Helper()
	from.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 1<<16)
	n, err := from.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]string{}
	for b = b[:n]; len(b) > 0; {
		name, rest, _ := bytes.Cut(b, []byte("\n"))
		size := binary.LittleEndian.Uint64(rest)
		fields[string(name)] = string(rest[8 : 8+size])
		b = rest[8+size+1:]
	}
	return fields
}

// TestFollowTruncated: somebody empties the file, the writer goes on at its beginning.
func TestFollowTruncated(t *testing.T) {
	dir := t.TempDir()
	c := parse(t, K8sFile)
	w := open(t, dir, c)
	ended, done := make(chan struct{}), make(chan error)
	words := []string{"first, and longer than what follows", "second", "third"}
	var heard [3]chan struct{}
	out := io.Discard
	for i, word := range words {
		heard[i] = make(chan struct{})
		out = io.MultiWriter(out, &tee{&bytes.Buffer{}, &signalled{word: word, c: heard[i]}})
	}
	go func() {
		done <- Read(dir, c, Who{}, Options{Tail: -1, Follow: true, Stdout: out, Stderr: out, Ended: func() bool {
			select {
			case <-ended:
				return true
			default:
				return false
			}
		}})
	}()
	for i, word := range words {
		w.Write(1, []byte(word+"\n"))
		<-heard[i]
		if err := os.Truncate(filepath.Join(dir, FileName), 0); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	close(ended)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
