package lazyjson

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Marshal writes v as json.Marshal does: the same bytes. Types that JSON can't say are an error, and so are map keys that are no
// strings. A type that writes itself must do so by its value, not by a pointer to it.
func Marshal(v any) ([]byte, error) { return write(nil, reflect.ValueOf(v)) }

func write(b []byte, v reflect.Value) ([]byte, error) {
	if !v.IsValid() {
		return append(b, "null"...), nil
	}
	switch v.Interface().(type) {
	case json.Marshaler, encoding.TextMarshaler, []byte:
		return writeValue(b, v)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return write(b, v.Elem())
	case reflect.Struct:
		return writeStruct(b, v)
	case reflect.Map:
		return writeMap(b, v)
	case reflect.Slice, reflect.Array:
		return writeSlice(b, v)
	}
	return writeValue(b, v)
}

func writeStruct(b []byte, v reflect.Value) (_ []byte, err error) {
	b = append(b, '{')
	if b, err = writeFields(b, v); err != nil {
		return nil, err
	}
	return append(b, '}'), nil
}

func writeFields(b []byte, v reflect.Value) (_ []byte, err error) {
	for i := range v.NumField() {
		f, value := describeField(v.Type().Field(i)), v.Field(i)
		switch {
		case f.name == "-", f.has("omitempty") && empty(value), f.has("omitzero") && zero(value):
			continue
		case f.name == "":
			b, err = writeFields(b, value)
		default:
			b, err = writeMember(b, f.name, value)
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (f field) has(option string) bool {
	return slices.Contains(strings.Split(f.options, ","), option)
}

// empty is what encoding/json's omitempty leaves out: unlike a zero value, also an empty list or map, and never a struct.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Map, reflect.Slice, reflect.Array, reflect.String:
		return v.Len() == 0
	case reflect.Struct:
		return false
	}
	return v.IsZero()
}

func zero(v reflect.Value) bool {
	if z, ok := v.Interface().(interface{ IsZero() bool }); ok {
		return z.IsZero()
	}
	return v.IsZero()
}

func writeMember(b []byte, name string, v reflect.Value) (_ []byte, err error) {
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	if b, err = writeValue(b, reflect.ValueOf(name)); err != nil {
		return nil, err
	}
	return write(append(b, ':'), v)
}

func writeMap(b []byte, v reflect.Value) (_ []byte, err error) {
	if v.IsNil() {
		return append(b, "null"...), nil
	}
	if v.Type().Key().Kind() != reflect.String {
		return nil, fmt.Errorf("%s: not a type of this package", v.Type())
	}
	b = append(b, '{')
	for _, key := range slices.SortedFunc(slices.Values(v.MapKeys()), func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) }) {
		if b, err = writeMember(b, key.String(), v.MapIndex(key)); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func writeSlice(b []byte, v reflect.Value) (_ []byte, err error) {
	if v.Kind() == reflect.Slice && v.IsNil() {
		return append(b, "null"...), nil
	}
	b = append(b, '[')
	for i := range v.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = write(b, v.Index(i)); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// writeValue leaves texts, numbers and types that write themselves to encoding/json, which has no tables for them.
func writeValue(b []byte, v reflect.Value) ([]byte, error) {
	text, err := json.Marshal(v.Interface())
	return append(b, text...), err
}
