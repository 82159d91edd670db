package enter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/rl-containers/rl/hint"
)

// build is set by the linker (Makefile): what goes over has no form but this build's.
var build = "0.1.0-dev"

// A Plan goes from rl to the rl-enter that was built with it: its fields one after the other, in their order and without names, integers and
// lengths as varints. encoding/json makes itself a table of each type that it meets, which lasts longer than all else that is
// done with a plan, and is made on both sides.

// errWire: the bytes are no plan.
var errWire = errors.New("broken encoding")

// appendWire adds v to b.
func appendWire(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case reflect.Int, reflect.Int32, reflect.Int64:
		return binary.AppendVarint(b, v.Int())
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return binary.AppendUvarint(b, v.Uint())
	case reflect.String:
		return append(binary.AppendUvarint(b, uint64(v.Len())), v.String()...)
	case reflect.Struct:
		for i := range v.NumField() {
			b = appendWire(b, v.Field(i))
		}
		return b
	case reflect.Array:
		return appendElements(b, v)
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return appendNilable(b, v)
	}
	panic("enter: a plan can't hold a " + v.Type().String())
}

// appendNilable adds what may be nil, which is not the same as empty.
func appendNilable(b []byte, v reflect.Value) []byte {
	if v.IsNil() {
		return append(b, 0)
	}
	b = append(b, 1)
	switch v.Kind() {
	case reflect.Pointer:
		return appendWire(b, v.Elem())
	case reflect.Map:
		b = binary.AppendUvarint(b, uint64(v.Len()))
		for at := v.MapRange(); at.Next(); {
			b = appendWire(appendWire(b, at.Key()), at.Value())
		}
		return b
	}
	b = binary.AppendUvarint(b, uint64(v.Len()))
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return append(b, v.Bytes()...)
	}
	return appendElements(b, v)
}

func appendElements(b []byte, v reflect.Value) []byte {
	for i := range v.Len() {
		b = appendWire(b, v.Index(i))
	}
	return b
}

// wire reads what appendWire wrote. After an error it reads zeros.
type wire struct {
	rest []byte
	err  error
}

func (w *wire) fail() { w.rest, w.err = nil, errWire }

func (w *wire) varint() int64 {
	n, size := binary.Varint(w.rest)
	if size <= 0 {
		w.fail()
		return 0
	}
	w.rest = w.rest[size:]
	return n
}

func (w *wire) uvarint() uint64 {
	n, size := binary.Uvarint(w.rest)
	if size <= 0 {
		w.fail()
		return 0
	}
	w.rest = w.rest[size:]
	return n
}

// length is a number of elements. Each takes a byte at least: a broken one can't ask for more memory than there is.
func (w *wire) length() int {
	n := w.uvarint()
	if n > uint64(len(w.rest)) {
		w.fail()
		return 0
	}
	return int(n)
}

// bytes are the next n, not copied.
func (w *wire) bytes(n int) []byte {
	b := w.rest[:n:n]
	w.rest = w.rest[n:]
	return b
}

func (w *wire) read(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(w.uvarint() == 1)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(w.varint())
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(w.uvarint())
	case reflect.String:
		v.SetString(string(w.bytes(w.length())))
	case reflect.Struct:
		for i := range v.NumField() {
			w.read(v.Field(i))
		}
	case reflect.Array:
		w.readElements(v)
	default:
		if w.uvarint() == 1 {
			w.readNilable(v)
		}
	}
}

func (w *wire) readNilable(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		w.read(v.Elem())
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range w.length() {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			w.read(key)
			w.read(value)
			v.SetMapIndex(key, value)
		}
	default:
		n := w.length()
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(w.bytes(n))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		w.readElements(v)
	}
}

func (w *wire) readElements(v reflect.Value) {
	for i := range v.Len() {
		w.read(v.Index(i))
	}
}

// decodePlan reads b, which the plan goes on to use.
func decodePlan(b []byte) (*Plan, error) {
	p, w := new(Plan), &wire{rest: b}
	if theirs := string(w.bytes(w.length())); theirs != build && w.err == nil {
		return nil, hint.Errorf("make install puts both where they belong", "rl-enter is version %s, rl is %s", build, theirs)
	}
	w.read(reflect.ValueOf(p).Elem())
	if w.err == nil && len(w.rest) > 0 {
		w.fail()
	}
	if w.err != nil {
		return nil, fmt.Errorf("read plan: %w", w.err)
	}
	return p, nil
}
