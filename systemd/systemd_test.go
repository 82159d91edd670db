package systemd

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"strings"
	"testing"
)

// TestEncode: a call as `busctl` (libsystemd) writes it, taken from the D-Bus specification's rules by hand.
func TestEncode(t *testing.T) {
	c := call{path: "/a", iface: "b.c", member: "D", signature: "s"}
	c.body.string("xyz")
	want := "6c010001" + "08000000" + "05000000" + "37000000" + // little endian, call; 8 bytes of body, serial 5, 55 bytes of fields
		"01016f00" + "02000000" + "2f6100" + "0000000000" + // path
		"02017300" + "03000000" + "622e6300" + "00000000" + // interface
		"03017300" + "01000000" + "4400" + "000000000000" + // member
		"08016700" + "017300" + "00" + // signature
		"03000000" + "78797a00"
	if got := hex.EncodeToString(c.encode(5)); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestArraysAndVariants(t *testing.T) {
	var m message
	m.array(8, func() {
		m.align(8)
		m.string("PIDs")
		m.variant([]uint32{7})
	})
	want := "18000000" + "00000000" + // 24 bytes from the 8th on
		"04000000" + "5049447300" + "02617500" + "000000" + // the name, and the type
		"04000000" + "07000000"
	if got := hex.EncodeToString(m); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// reply is a message of the other side in either byte order.
func reply(order binary.AppendByteOrder, kind byte, fields map[byte]any, body []byte) []byte {
	mark := map[binary.AppendByteOrder]byte{binary.LittleEndian: 'l', binary.BigEndian: 'B'}[order]
	b := []byte{mark, kind, 0, 1}
	b = order.AppendUint32(b, uint32(len(body)))
	b = order.AppendUint32(b, 9)
	b = append(b, 0, 0, 0, 0)
	text := func(s string) {
		b = order.AppendUint32(b, uint32(len(s)))
		b = append(append(b, s...), 0)
	}
	for code, v := range fields {
		for len(b)%8 != 0 {
			b = append(b, 0)
		}
		switch v := v.(type) {
		case string:
			b = append(b, code, 1, 's', 0)
			text(v)
		case uint32:
			b = append(b, code, 1, 'u', 0)
			b = order.AppendUint32(b, v)
		}
	}
	switch order {
	case binary.LittleEndian:
		binary.LittleEndian.PutUint32(b[12:], uint32(len(b)-16))
	default:
		binary.BigEndian.PutUint32(b[12:], uint32(len(b)-16))
	}
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	return append(b, body...)
}

func TestReadMessage(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		body := order.AppendUint32(nil, 42)
		body = order.AppendUint32(body, 3)
		body = append(body, "abc\x00"...)
		a, err := readMessage(bytes.NewReader(reply(order, signal, map[byte]any{fieldMember: "JobRemoved", fieldReplySerial: uint32(7)}, body)))
		if err != nil || a.member != "JobRemoved" || a.reply != 7 || a.kind != signal {
			t.Fatalf("%+v, %v", a, err)
		}
		if n, s := a.body.uint32(), a.body.string(); n != 42 || s != "abc" || a.body.err != nil {
			t.Errorf("%d %q %v", n, s, a.body.err)
		}
		if a.body.string(); a.body.err == nil {
			t.Error("more than there is can be read")
		}
	}
}

func TestAuthenticate(t *testing.T) {
	for said, want := range map[string]string{"OK 1234deadbeef\r\n": "", "REJECTED EXTERNAL\r\n": "refuses", "": "EOF", strings.Repeat("x", 5000): "endless"} {
		var wrote bytes.Buffer
		err := authenticate(struct {
			io.Reader
			io.Writer
		}{strings.NewReader(said), &wrote}, "1001")
		if want == "" && (err != nil || wrote.String() != "\x00AUTH EXTERNAL 31303031\r\nBEGIN\r\n") {
			t.Errorf("%q, %v", wrote.String(), err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.20q: %v, not %s", said, err, want)
		}
	}
}

// FuzzReadMessage: whatever comes is an error or a message, and a reader never leaves it.
func FuzzReadMessage(f *testing.F) {
	f.Add(reply(binary.LittleEndian, signal, map[byte]any{fieldMember: "JobRemoved"}, []byte("abcdefgh")))
	f.Add(reply(binary.BigEndian, methodReturn, map[byte]any{fieldReplySerial: uint32(1)}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := readMessage(bytes.NewReader(b))
		if err != nil {
			return
		}
		a.body.uint32()
		_ = a.body.string() + a.body.signature()
	})
}
