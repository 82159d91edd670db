package logs

import (
	"bytes"
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Entry is a record of a log: a line, or a part of one.
type Entry struct {
	Time time.Time
	// Stream is 1 (standard output, or the terminal) or 2.
	Stream int
	// Partial: the line goes on in the next entry of the stream.
	Partial bool
	// Text is without the newline.
	Text []byte
}

// stamp is RFC 3339 with nine digits always, so that times sort as text.
const stamp = "2006-01-02T15:04:05.000000000Z07:00"

func streamName(stream int) string {
	if stream == 2 {
		return "stderr"
	}
	return "stdout"
}

func streamOf(name []byte) int {
	switch string(name) {
	case "stdout":
		return 1
	case "stderr":
		return 2
	}
	return 0
}

// appendStamp appends the time as the records have it: appendCRI and appendJSON get it ready, as one is for many lines.
func appendStamp(to []byte, t time.Time) []byte { return t.AppendFormat(to, stamp) }

// appendCRI appends a record of the Kubernetes container runtime interface (kubernetes/design-proposals, kubelet-cri-logging.md):
// TIME STREAM P|F TEXT.
func appendCRI(to, when []byte, e *Entry) []byte {
	to = append(to, when...)
	to = append(to, ' ')
	to = append(to, streamName(e.Stream)...)
	if e.Partial {
		to = append(to, " P "...)
	} else {
		to = append(to, " F "...)
	}
	to = append(to, e.Text...)
	return append(to, '\n')
}

// parseCRI reads a record without its newline; Text is a part of line.
func parseCRI(line []byte) (e Entry, ok bool) {
	when, rest, _ := bytes.Cut(line, []byte(" "))
	stream, rest, _ := bytes.Cut(rest, []byte(" "))
	tags, text, ok := bytes.Cut(rest, []byte(" "))
	if !ok {
		tags = rest // an empty line may have lost its blank
	}
	t, err := time.Parse(time.RFC3339Nano, string(when))
	e.Stream = streamOf(stream)
	if err != nil || e.Stream == 0 {
		return e, false
	}
	tag, _, _ := bytes.Cut(tags, []byte(":")) // others may follow
	e.Time, e.Text = t, text
	switch string(tag) {
	case "F":
	case "P":
		e.Partial = true
	default:
		return e, false
	}
	return e, true
}

// appendJSON appends a record of docker's json-file: {"log":"…\n","stream":"stdout","attrs":{…},"time":"…"}. What is no UTF-8 becomes
// U+FFFD, as docker has it. attrs is "" or JSON.
func appendJSON(to, when []byte, e *Entry, attrs string) []byte {
	to = append(to, `{"log":"`...)
	to = appendQuoted(to, e.Text)
	if !e.Partial {
		to = append(to, `\n`...)
	}
	to = append(to, `","stream":"`...)
	to = append(to, streamName(e.Stream)...)
	if attrs != "" {
		to = append(append(to, `","attrs":`...), attrs...)
		to = append(to, `,"time":"`...)
	} else {
		to = append(to, `","time":"`...)
	}
	to = append(to, when...)
	return append(to, "\"}\n"...)
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends the inside of a JSON string.
func appendQuoted(to, s []byte) []byte {
	for len(s) > 0 {
		plain := 0
		for plain < len(s) && s[plain] >= ' ' && s[plain] < 0x7f && s[plain] != '"' && s[plain] != '\\' {
			plain++
		}
		to, s = append(to, s[:plain]...), s[plain:]
		if len(s) == 0 {
			break
		}
		if c := s[0]; c < utf8.RuneSelf {
			to = appendQuotedByte(to, c)
			s = s[1:]
			continue
		}
		r, n := utf8.DecodeRune(s)
		if r == utf8.RuneError && n == 1 {
			to = append(to, `\ufffd`...)
		} else {
			to = append(to, s[:n]...)
		}
		s = s[n:]
	}
	return to
}

func appendQuotedByte(to []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(to, '\\', c)
	case c == '\n':
		return append(to, `\n`...)
	case c == '\r':
		return append(to, `\r`...)
	case c == '\t':
		return append(to, `\t`...)
	case c < 0x20 || c == 0x7f:
		return append(to, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
	return append(to, c)
}

// parseJSON reads a record without its newline.
func parseJSON(line []byte) (e Entry, ok bool) {
	var r struct {
		Log    string    `json:"log"`
		Stream string    `json:"stream"`
		Time   time.Time `json:"time"`
	}
	if len(line) == 0 || line[0] != '{' || json.Unmarshal(line, &r) != nil {
		return e, false
	}
	e = Entry{Time: r.Time, Stream: streamOf([]byte(r.Stream)), Text: []byte(r.Log)}
	text, whole := bytes.CutSuffix(e.Text, []byte("\n"))
	e.Text, e.Partial = text, !whole
	return e, e.Stream != 0
}
