package systemd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// message is a D-Bus message under construction, little endian (D-Bus specification, "Message Protocol"). Every value stands at a
// multiple of its alignment from the beginning of the header or of the body, which itself begins at a multiple of 8.
type message []byte

func (m *message) align(n int) {
	for len(*m)%n != 0 {
		*m = append(*m, 0)
	}
}

func (m *message) byte(b ...byte) { *m = append(*m, b...) }

func (m *message) uint32(n uint32) {
	m.align(4)
	*m = binary.LittleEndian.AppendUint32(*m, n)
}

func (m *message) uint64(n uint64) {
	m.align(8)
	*m = binary.LittleEndian.AppendUint64(*m, n)
}

func (m *message) string(s string) {
	m.uint32(uint32(len(s)))
	*m = append(append(*m, s...), 0)
}

func (m *message) signature(s string) {
	*m = append(append(append(*m, byte(len(s))), s...), 0)
}

// array writes the elements behind their length in bytes, which doesn't count the padding before the first.
func (m *message) array(alignment int, elements func()) {
	m.uint32(0)
	at := len(*m) - 4
	m.align(alignment)
	first := len(*m)
	elements()
	binary.LittleEndian.PutUint32((*m)[at:], uint32(len(*m)-first))
}

// variant writes a value behind its type.
func (m *message) variant(v any) {
	switch v := v.(type) {
	case string:
		m.signature("s")
		m.string(v)
	case bool:
		m.signature("b")
		m.uint32(map[bool]uint32{true: 1}[v])
	case uint64:
		m.signature("t")
		m.uint64(v)
	case []uint32:
		m.signature("au")
		m.array(4, func() {
			for _, n := range v {
				m.uint32(n)
			}
		})
	}
}

// What a message is, and the fields of its header.
const (
	methodCall   = 1
	methodReturn = 2
	failure      = 3
	signal       = 4

	fieldPath        = 1
	fieldInterface   = 2
	fieldMember      = 3
	fieldErrorName   = 4
	fieldReplySerial = 5
	fieldDestination = 6
	fieldSignature   = 8
)

// call is a method call.
type call struct {
	destination, path, iface, member string
	signature                        string
	body                             message
}

func (c *call) encode(serial uint32) message {
	m := message{'l', methodCall, 0, 1}
	m.uint32(uint32(len(c.body)))
	m.uint32(serial)
	m.array(8, func() {
		for _, f := range []struct {
			code        byte
			kind, value string
		}{{fieldPath, "o", c.path}, {fieldInterface, "s", c.iface}, {fieldMember, "s", c.member}, {fieldDestination, "s", c.destination}} {
			if f.value != "" {
				m.align(8)
				m.byte(f.code)
				m.signature(f.kind)
				m.string(f.value)
			}
		}
		if c.signature != "" {
			m.align(8)
			m.byte(fieldSignature)
			m.signature("g")
			m.signature(c.signature)
		}
	})
	m.align(8)
	return append(m, c.body...)
}

// answer is a message of the other side.
type answer struct {
	kind              byte
	reply             uint32
	member, errorName string
	body              reader
}

// maxMessage bounds what is read: ours are short.
const maxMessage = 1 << 20

func readMessage(from io.Reader) (*answer, error) {
	head := make([]byte, 16)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[0] == 'B' {
		order = binary.BigEndian
	}
	body, fields := order.Uint32(head[4:]), order.Uint32(head[12:])
	if body > maxMessage || fields > maxMessage {
		return nil, fmt.Errorf("a message of %d and %d bytes", fields, body)
	}
	rest := make([]byte, (int(fields)+7)/8*8+int(body))
	if _, err := io.ReadFull(from, rest); err != nil {
		return nil, err
	}
	a := &answer{kind: head[1], body: reader{order: order, b: rest[len(rest)-int(body):]}}
	return a, a.header(&reader{order: order, b: rest[:fields]})
}

func (a *answer) header(r *reader) error {
	for r.err == nil && r.at < len(r.b) {
		r.align(8)
		code := r.byte()
		switch kind := r.signature(); kind {
		case "s", "o":
			a.text(code, r.string())
		case "g":
			r.signature()
		case "u":
			if n := r.uint32(); code == fieldReplySerial {
				a.reply = n
			}
		default:
			return fmt.Errorf("a header field of type %q", kind)
		}
	}
	return r.err
}

func (a *answer) text(code byte, s string) {
	switch code {
	case fieldMember:
		a.member = s
	case fieldErrorName:
		a.errorName = s
	}
}

// reader takes values from a message. After the first error all are zero.
type reader struct {
	order binary.ByteOrder
	b     []byte
	at    int
	err   error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.b)-r.at {
		r.err = errors.New("a message ends too early")
		return make([]byte, min(max(n, 0), 8))
	}
	r.at += n
	return r.b[r.at-n : r.at]
}

func (r *reader) align(n int) {
	if r.at%n != 0 {
		r.take(n - r.at%n)
	}
}

func (r *reader) byte() byte { return r.take(1)[0] }

func (r *reader) uint32() uint32 {
	r.align(4)
	return r.order.Uint32(r.take(4))
}

func (r *reader) text(n int) string {
	s := r.take(n)
	r.take(1) // NUL
	if r.err != nil {
		return ""
	}
	return string(s)
}

func (r *reader) string() string { return r.text(int(r.uint32())) }

func (r *reader) signature() string { return r.text(int(r.byte())) }

// authenticate introduces the caller, whom the kernel names to the other side (D-Bus specification, "Authentication Protocol",
// EXTERNAL): the uid is said as hexadecimal digits of its decimal ones.
func authenticate(conn io.ReadWriter, uid string) error {
	if _, err := fmt.Fprintf(conn, "\x00AUTH EXTERNAL %x\r\n", uid); err != nil {
		return err
	}
	line, err := readLine(conn)
	if err != nil {
		return err
	}
	if len(line) < 3 || line[:3] != "OK " {
		return fmt.Errorf("it refuses the caller: %q", line)
	}
	_, err = io.WriteString(conn, "BEGIN\r\n")
	return err
}

// readLine reads byte by byte: what follows the line is for others.
func readLine(from io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < 1024; line = append(line, b[0]) {
		if _, err := io.ReadFull(from, b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
	}
	return "", errors.New("an endless line")
}
