package storage

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// parseRecord and parseLife read what Container.Write wrote, twenty times as fast as encoding/json, which a list of a thousand
// containers notices. What they don't know (another form of a number, a field of a later rl) is left to encoding/json.

func parseRecord(text string, r *Record) error {
	s := scanner{rest: text}
	if s.object(func(key string) { s.recordField(key, r) }); s.finished() {
		return nil
	}
	*r = Record{}
	return json.Unmarshal([]byte(text), r)
}

func parseLife(text string, l *Life) error {
	s := scanner{rest: text}
	if s.object(func(key string) { s.lifeField(key, l) }); s.finished() {
		return nil
	}
	*l = Life{}
	return json.Unmarshal([]byte(text), l)
}

func (s *scanner) recordField(key string, r *Record) {
	switch key {
	case "ID":
		r.ID = s.text()
	case "Name":
		r.Name = s.text()
	case "Image":
		r.Image = s.text()
	case "ImageID":
		r.ImageID = s.text()
	case "Command":
		r.Command = s.list()
	case "Created":
		r.Created = s.time()
	case "Labels":
		s.pairs(&r.Labels)
	case "Remove":
		r.Remove = s.boolean()
	case "StopSignal":
		r.StopSignal = s.text()
	case "StopTimeout":
		r.StopTimeout = int(s.number())
	case "Restart":
		r.Restart = s.text()
	case "Network":
		r.Network = s.text()
	case "Healthcheck":
		r.Healthcheck = s.boolean()
	case "Volumes":
		r.Volumes = s.list()
	case "Anonymous":
		r.Anonymous = s.list()
	default:
		s.bad = true
	}
}

func (s *scanner) lifeField(key string, l *Life) {
	switch key {
	case "Pid":
		l.Pid = int(s.number())
	case "Start":
		l.Start = s.unsigned()
	case "BootID":
		l.BootID = s.text()
	case "Started":
		l.Started = s.time()
	case "Detached":
		l.Detached = s.boolean()
	case "Ports":
		l.Ports = s.list()
	case "Cgroup":
		l.Cgroup = s.text()
	case "Restarts":
		l.Restarts = int(s.number())
	case "Restarting":
		l.Restarting = s.boolean()
	case "Finished":
		l.Finished = s.time()
	case "ExitCode":
		l.ExitCode = int(s.number())
	case "OOMKilled":
		l.OOMKilled = s.boolean()
	case "Error":
		l.Error = s.text()
	default:
		s.bad = true
	}
}

// scanner reads JSON (RFC 8259) of the few shapes that records have. bad: it met another one.
type scanner struct {
	rest string
	bad  bool
}

func (s *scanner) finished() bool {
	s.space()
	return !s.bad && s.rest == ""
}

func (s *scanner) space() {
	for s.rest != "" && (s.rest[0] == ' ' || s.rest[0] == '\n' || s.rest[0] == '\t' || s.rest[0] == '\r') {
		s.rest = s.rest[1:]
	}
}

// take reads one character, if it is next.
func (s *scanner) take(c byte) bool {
	if s.space(); s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

func (s *scanner) need(c byte) {
	if !s.take(c) {
		s.bad = true
	}
}

// object reads {"KEY": …}, the values by field.
func (s *scanner) object(field func(key string)) {
	s.need('{')
	if s.take('}') {
		return
	}
	for !s.bad {
		key := s.text()
		if s.need(':'); s.bad {
			return
		}
		if field(key); !s.take(',') {
			s.need('}')
			return
		}
	}
}

func (s *scanner) pairs(all *map[string]string) {
	if *all == nil {
		*all = map[string]string{}
	}
	s.object(func(key string) { (*all)[key] = s.text() })
}

func (s *scanner) list() []string {
	s.need('[')
	if s.take(']') {
		return []string{}
	}
	var all []string
	for !s.bad {
		all = append(all, s.text())
		if !s.take(',') {
			s.need(']')
			break
		}
	}
	return all
}

// text reads a string. One without escapes is a piece of what is read.
func (s *scanner) text() string {
	if s.need('"'); s.bad {
		return ""
	}
	ascii := true
	for i := 0; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			word := s.rest[:i]
			s.rest = s.rest[i+1:]
			s.bad = s.bad || !ascii && !utf8.ValidString(word)
			return word
		case c == '\\':
			return s.escaped(i)
		case c < ' ':
			s.bad = true
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	s.bad = true
	return ""
}

// escaped goes on with a string whose first escape is at i.
func (s *scanner) escaped(i int) string {
	var b strings.Builder
	for i < len(s.rest) {
		switch c := s.rest[i]; {
		case c == '"':
			b.WriteString(s.rest[:i])
			s.rest = s.rest[i+1:]
			s.bad = s.bad || !utf8.ValidString(b.String())
			return b.String()
		case c < ' ':
			s.bad = true
			return ""
		case c != '\\':
			i++
			continue
		}
		b.WriteString(s.rest[:i])
		s.rest = s.rest[i+1:]
		i = 0
		if b.WriteRune(s.escape()); s.bad {
			return ""
		}
	}
	s.bad = true
	return ""
}

// escape reads what follows a backslash.
func (s *scanner) escape() rune {
	if s.rest == "" {
		s.bad = true
		return 0
	}
	c := s.rest[0]
	s.rest = s.rest[1:]
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 {
		return rune("\"\\/\b\f\n\r\t"[i])
	}
	if c != 'u' || len(s.rest) < 4 {
		s.bad = true
		return 0
	}
	n, err := strconv.ParseUint(s.rest[:4], 16, 16)
	s.rest = s.rest[4:]
	s.bad = s.bad || err != nil || utf16.IsSurrogate(rune(n))
	return rune(n)
}

// number reads a whole one of at most 18 digits.
func (s *scanner) number() int64 {
	negative := s.take('-')
	i, n := 0, int64(0) // take skipped the space before it
	for i < len(s.rest) && s.rest[i] >= '0' && s.rest[i] <= '9' {
		n = n*10 + int64(s.rest[i]-'0')
		if i++; i > 18 {
			s.bad = true
			return 0
		}
	}
	if s.bad = s.bad || i == 0 || i > 1 && s.rest[0] == '0' || i < len(s.rest) && strings.IndexByte(".eE", s.rest[i]) >= 0; s.bad {
		return 0
	}
	s.rest = s.rest[i:]
	if negative {
		return -n
	}
	return n
}

func (s *scanner) unsigned() uint64 {
	s.space()
	s.bad = s.bad || strings.HasPrefix(s.rest, "-")
	return uint64(s.number())
}

func (s *scanner) boolean() bool {
	s.space()
	for _, word := range []string{"true", "false"} {
		if rest, ok := strings.CutPrefix(s.rest, word); ok {
			s.rest = rest
			return word == "true"
		}
	}
	s.bad = true
	return false
}

func (s *scanner) time() (t time.Time) {
	word := s.text()
	s.bad = s.bad || t.UnmarshalText([]byte(word)) != nil
	return t
}
