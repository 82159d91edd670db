package logs

import (
	"bytes"
	"io"
	"os"
)

// skip goes to the last Tail lines. It reads backwards, block by block, and no more than it needs.
func (r *reader) skip() error {
	c := &counter{reader: r, left: r.Tail}
	for i := len(r.files) - 1; i >= 0; i-- {
		from, enough, err := c.backwards(r.files[i])
		if err != nil {
			return err
		}
		if enough {
			for _, f := range r.files[:i] {
				f.Close()
			}
			r.files, r.at = r.files[i:], from
			return nil
		}
	}
	return nil
}

// counter counts lines from the end.
type counter struct {
	*reader
	left int
	any  bool // one was met: the last line may be without its end
}

// isFirst: the record ends a line that is one too many.
func (c *counter) isFirst(line []byte) bool {
	e, ok := c.parse(line)
	if !ok || !c.Until.IsZero() && e.Time.After(c.Until) {
		return false
	}
	if e.Partial && c.any {
		return false
	}
	c.any = true
	c.left--
	return c.left < 0
}

// backwards finds the offset behind the record that is too many.
func (c *counter) backwards(f *os.File) (from int64, enough bool, err error) {
	st, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	pos := st.Size()
	var carry []byte // the beginning of what was read last, whose record began earlier
	whole := false   // a newline was seen: what is before it are whole records
	for pos > 0 {
		n := min(pos, blockSize)
		block := make([]byte, n, int(n)+len(carry))
		if _, err := f.ReadAt(block, pos-n); err != nil && err != io.EOF {
			return 0, false, err
		}
		pos -= n
		block = append(block, carry...)
		for {
			i := bytes.LastIndexByte(block, '\n')
			if i < 0 {
				break
			}
			if after := pos + int64(i) + 1; whole && c.isFirst(block[i+1:]) {
				// The record that is too many begins here; it ends at the next newline.
				return after + int64(len(block)-i), true, nil
			}
			whole, block = true, block[:i]
		}
		if carry = block; len(carry) > maxRecord {
			carry = nil
		}
	}
	if whole && c.isFirst(carry) {
		return int64(len(carry)) + 1, true, nil
	}
	return 0, false, nil
}
