// Package lazyjson reads and writes JSON as encoding/json does, for large types of which a text has little. encoding/json makes
// itself tables of all types below a type before it touches the first byte: for a runtime configuration, with its sections about
// Windows, Solaris and virtual machines, that takes longer than all the rest of a command. This package looks at a type when it
// meets a value of it.
package lazyjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
)

// Unmarshal reads JSON into what to points at, as json.Unmarshal does but for names in other letters (Process for process), which
// stay unknown, and for types that read JSON themselves (json.Unmarshaler); those that read a text do (netip.Addr, time.Time). An error says where: process.args.1: a number where string belongs.
func Unmarshal(text []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // a limit may have 64 bits
	var from any
	if err := d.Decode(&from); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the end")
	}
	return fill(reflect.ValueOf(to).Elem(), from)
}

// fill sets v. null leaves it as it is.
func fill(v reflect.Value, from any) error {
	if from == nil {
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), from)
	case reflect.Struct:
		if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
			return fillText(t, from)
		}
		if m, ok := from.(map[string]any); ok {
			return fillStruct(v, m)
		}
	case reflect.Map:
		if m, ok := from.(map[string]any); ok {
			return fillMap(v, m)
		}
	case reflect.Slice:
		if all, ok := from.([]any); ok {
			return fillSlice(v, all)
		}
	case reflect.Interface:
		v.Set(reflect.ValueOf(from))
		return nil
	case reflect.String:
		if s, ok := from.(string); ok {
			v.SetString(s)
			return nil
		}
	case reflect.Bool:
		if b, ok := from.(bool); ok {
			v.SetBool(b)
			return nil
		}
	default:
		if n, ok := from.(json.Number); ok {
			return fillNumber(v, n.String())
		}
	}
	return fmt.Errorf("%s where %s belongs", describe(from), v.Kind())
}

func fillText(t encoding.TextUnmarshaler, from any) error {
	s, ok := from.(string)
	if !ok {
		return fmt.Errorf("%s where %T belongs", describe(from), t)
	}
	return t.UnmarshalText([]byte(s))
}

func describe(from any) string {
	switch from.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case json.Number:
		return "a number"
	case bool:
		return "true or false"
	}
	return "a string"
}

func fillStruct(v reflect.Value, m map[string]any) error {
	for i := range v.NumField() {
		switch f := describeField(v.Type().Field(i)); {
		case f.name == "-":
		case f.name == "": // its fields are those of the outer one
			if err := fillStruct(v.Field(i), m); err != nil {
				return err
			}
		default:
			if err := fill(v.Field(i), m[f.name]); err != nil {
				return inside(f.name, err)
			}
		}
	}
	return nil
}

// field is what a struct says of one of its own: the name is "-" for one that JSON never shows, and "" for an embedded struct.
type field struct{ name, options string }

func describeField(f reflect.StructField) field {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	switch {
	case !f.IsExported() && !f.Anonymous:
		name = "-"
	case name == "" && !f.Anonymous:
		name = f.Name
	}
	return field{name, options}
}

func fillMap(v reflect.Value, m map[string]any) error {
	v.Set(reflect.MakeMapWithSize(v.Type(), len(m)))
	for key, from := range m {
		value := reflect.New(v.Type().Elem()).Elem()
		if err := fill(value, from); err != nil {
			return inside(key, err)
		}
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), value)
	}
	return nil
}

func fillSlice(v reflect.Value, all []any) error {
	v.Set(reflect.MakeSlice(v.Type(), len(all), len(all)))
	for i, from := range all {
		if err := fill(v.Index(i), from); err != nil {
			return inside(strconv.Itoa(i), err)
		}
	}
	return nil
}

func fillNumber(v reflect.Value, n string) (err error) {
	switch bits := v.Type().Size() * 8; {
	case v.CanInt():
		var i int64
		if i, err = strconv.ParseInt(n, 10, int(bits)); err == nil {
			v.SetInt(i)
		}
	case v.CanUint():
		var u uint64
		if u, err = strconv.ParseUint(n, 10, int(bits)); err == nil {
			v.SetUint(u)
		}
	case v.CanFloat():
		var f float64
		if f, err = strconv.ParseFloat(n, int(bits)); err == nil {
			v.SetFloat(f)
		}
	}
	if err != nil {
		return fmt.Errorf("%s is no %s", n, v.Kind())
	}
	return nil
}

// place is where in the text something is wrong.
type place struct {
	path  string
	cause error
}

func (p *place) Error() string { return p.path + ": " + p.cause.Error() }

func (p *place) Unwrap() error { return p.cause }

func inside(name string, err error) error {
	if p, ok := err.(*place); ok {
		return &place{name + "." + p.path, p.cause}
	}
	return &place{name, err}
}
