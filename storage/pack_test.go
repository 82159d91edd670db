package storage

import (
	"reflect"
	"testing"
	"time"
)

// fillFields gives every field a value that is not its zero one; a kind of field that packer can't have yet makes the test fail.
func fillFields(t *testing.T, v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Date(2026, 11, 30, 1, 2, 3, 4, time.FixedZone("", 3600))))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fillFields(t, v.Field(i))
		}
	case v.Kind() == reflect.String:
		v.SetString("ü\x00\n")
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(-1 << 40)
	case v.CanUint():
		v.SetUint(1 << 63)
	case v.Type() == reflect.TypeFor[[]string]():
		v.Set(reflect.ValueOf([]string{"", "b"}))
	case v.Type() == reflect.TypeFor[map[string]string]():
		v.Set(reflect.ValueOf(map[string]string{"": "1", "b": ""}))
	default:
		t.Fatalf("what is a %s?", v.Type())
	}
}

// TestPackState: each field of a record and of a life comes back, nil and empty ones as what they were.
func TestPackState(t *testing.T) {
	full := new(State)
	fillFields(t, reflect.ValueOf(&full.Record).Elem())
	fillFields(t, reflect.ValueOf(&full.Life).Elem())
	empty := &State{Record: Record{Command: []string{}, Labels: map[string]string{}, Created: time.Unix(1, 0).UTC()}}
	for name, want := range map[string]*State{"full": full, "empty": empty, "zero": {}} {
		packed := string(packState(want))
		got := &State{Record: Record{Name: "before", Labels: map[string]string{"a": "b"}}, Life: Life{Ports: []string{"before"}}}
		if !unpackState(packed, got) {
			t.Fatalf("%s: not read", name)
		}
		for _, s := range []*State{want, got} { // a zone is another pointer each time
			s.Created, s.Started, s.Finished = s.Created.UTC(), s.Started.UTC(), s.Finished.UTC()
		}
		if !reflect.DeepEqual(want, got) {
			t.Errorf("%s:\n%+v\n%+v", name, want, got)
		}
		for n := range len(packed) {
			if unpackState(packed[:n], new(State)) {
				t.Errorf("%s: cut after %d bytes, it is read", name, n)
			}
		}
		if unpackState(packed+"x", new(State)) {
			t.Errorf("%s: read with something behind it", name)
		}
	}
}

func FuzzUnpackState(f *testing.F) {
	s := &State{Record: Record{ID: "a", Command: []string{"b"}, Labels: map[string]string{"c": "d"}, Created: time.Unix(1, 2)}}
	f.Add(string(packState(s)))
	f.Fuzz(func(t *testing.T, text string) {
		s := new(State)
		if unpackState(text, s) && !unpackState(string(packState(s)), new(State)) {
			t.Errorf("%q: what was read can't be read again", text)
		}
	})
}
