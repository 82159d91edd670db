package lazyjson

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// sample fills all of v: a value that JSON can say.
func sample(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		sample(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			sample(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		sample(v.Index(0))
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		sample(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), value)
	case reflect.String:
		v.SetString("<text>")
	case reflect.Bool:
		v.SetBool(true)
	default:
		switch bits := v.Type().Size() * 8; {
		case v.CanInt():
			v.SetInt(-1 << (bits - 1))
		case v.CanUint():
			v.SetUint(1<<bits - 1)
		case v.CanFloat():
			v.SetFloat(0.5)
		}
	}
}

// TestUnmarshal: encoding/json reads the same, in each field that a configuration can have.
func TestUnmarshal(t *testing.T) {
	full := new(specs.Spec)
	sample(reflect.ValueOf(full).Elem())
	text, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	if ours, err := Marshal(full); err != nil || string(ours) != string(text) {
		t.Errorf("%s, %v\nencoding/json:\n%s", ours, err, text)
	}
	for _, text := range []string{string(text), "{}", `null`, `{"windows":{"credentialSpec":{"a":["b"]}}}`, `{"process":null,"unknown":[{}],"mounts":[],"annotations":{}}`,
		`{"process":{"rlimits":[{"hard":18446744073709551615}]},"linux":{"resources":{"blockIO":{"weightDevice":[{"major":8,"weight":9}]}}}}`} {
		got, want := new(specs.Spec), new(specs.Spec)
		if err := Unmarshal([]byte(text), got); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := json.Unmarshal([]byte(text), want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n%+v\nencoding/json:\n%+v", text, got, want)
		}
	}
}

func TestUnmarshalErrors(t *testing.T) {
	for text, want := range map[string]string{
		`{"process":{"args":["a",1]}}`:            "process.args.1: a number where string belongs",
		`{"process":{"terminal":"yes"}}`:          "process.terminal: a string where bool belongs",
		`{"process":{"user":{"uid":-1}}}`:         "process.user.uid: -1 is no uint32",
		`{"process":{"user":{"uid":4294967296}}}`: "process.user.uid: 4294967296 is no uint32",
		`{"process":{"rlimits":[{"hard":1e3}]}}`:  "process.rlimits.0.hard: 1e3 is no uint64",
		`{"linux":{"sysctl":{"a":{}}}}`:           "linux.sysctl.a: an object where string belongs",
		`[]`:                                      "a list where struct belongs",
		`{} {}`:                                   "something follows the end",
		`{"process":`:                             "unexpected EOF",
		``:                                        "EOF",
		strings.Repeat("[", 100000) + strings.Repeat("]", 100000): "exceeded max depth",
	} {
		err := Unmarshal([]byte(text), new(specs.Spec))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %s", text, err, want)
		}
	}
}

// TestMarshal: what encoding/json treats in a way of its own.
func TestMarshal(t *testing.T) {
	type inner struct{ A, B int }
	for _, v := range []any{
		struct {
			Plain    string
			hidden   int
			Skipped  int             `json:"-"`
			Empty    []int           `json:"empty,omitempty"`
			Nil      []int           `json:"nil"`
			NoMap    map[string]bool `json:",omitempty"`
			Struct   inner           `json:",omitempty"`
			Zero     inner           `json:",omitzero"`
			Pointer  *inner          `json:"p,omitempty"`
			None     *inner
			Any, Nix any
			inner
		}{Plain: "<a href=\"x\">\u2028\xff\n\t\u00e9", Pointer: &inner{A: 1}, Any: map[string]any{"z": 1.5, "a": []any{nil, true, "s"}}},
		map[string]int(nil), map[string]int{"b": 1, "a": 2, "": 3}, [2]int8{-1, 1}, []byte("x"), time.Unix(1, 0),
		struct {
			A, B time.Time `json:",omitzero"`
		}{A: time.Unix(1, 5).UTC()}, uint64(1<<64 - 1), nil,
	} {
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Marshal(v); err != nil || string(got) != string(want) {
			t.Errorf("%+v:\n%s, %v\nencoding/json:\n%s", v, got, err, want)
		}
	}
	for _, v := range []any{map[int]int{1: 1}, make(chan int), func() {}} {
		if got, err := Marshal(v); err == nil {
			t.Errorf("%T: %s", v, got)
		}
	}
}

// TestTexts: types that read and write themselves as a text.
func TestTexts(t *testing.T) {
	type texts struct {
		At  netip.AddrPort
		IP  netip.Addr
		Day time.Time
	}
	want := texts{netip.MustParseAddrPort("[::1]:80"), netip.MustParseAddr("127.0.0.1"), time.Unix(1, 5).UTC()}
	text, err := Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got, none texts
	if err := Unmarshal(text, &got); err != nil || got != want {
		t.Errorf("%s: %+v, %v", text, got, err)
	}
	if err := Unmarshal([]byte(`{"IP":"","At":null}`), &none); err != nil || none != (texts{}) {
		t.Errorf("%+v, %v", none, err)
	}
	for text, want := range map[string]string{`{"IP":1}`: "IP: a number where *netip.Addr belongs", `{"IP":"x"}`: "IP: ParseAddr"} {
		if err := Unmarshal([]byte(text), &got); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
