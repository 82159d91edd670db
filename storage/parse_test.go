package storage

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// full sets every field, so that one that parse.go doesn't know is noticed.
func full(t *testing.T, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		switch f.Interface().(type) {
		case string:
			f.SetString("a<b> \"ü\"\n\\" + v.Type().Field(i).Name)
		case int:
			f.SetInt(int64(-7 - i))
		case uint64:
			f.SetUint(uint64(70 + i))
		case bool:
			f.SetBool(true)
		case []string:
			f.Set(reflect.ValueOf([]string{"one", "", "two && three"}))
		case map[string]string:
			f.Set(reflect.ValueOf(map[string]string{"a.b": "c", "": "d"}))
		case time.Time:
			f.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 678+i, time.FixedZone("", 3600))))
		default:
			t.Fatalf("%s has a type that this test doesn't know: teach it and parse.go", v.Type().Field(i).Name)
		}
	}
}

func TestParseKnowsAllFields(t *testing.T) {
	var r, r2 Record
	full(t, reflect.ValueOf(&r).Elem())
	b, _ := json.Marshal(r)
	s := scanner{rest: string(b)}
	if s.object(func(key string) { s.recordField(key, &r2) }); !s.finished() || !same(r, r2) {
		t.Errorf("record %s: %v, rest %q", b, r2, s.rest)
	}
	var l, l2 Life
	full(t, reflect.ValueOf(&l).Elem())
	b, _ = json.Marshal(l)
	s = scanner{rest: string(b)}
	if s.object(func(key string) { s.lifeField(key, &l2) }); !s.finished() || !same(l, l2) {
		t.Errorf("life %s: %v, rest %q", b, l2, s.rest)
	}
}

func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func TestParseOtherForms(t *testing.T) {
	for _, text := range []string{`{"ID":"a","Command":null}`, `{"ID":"a","Later":{"x":[1]}}`, `{"id":"a"}`, ` { "ID" : "\ud83d\ude00" } `, `{"Labels":{"a":"b"},"Labels":{"c":"d"}}`} {
		var r, want Record
		if err := parseRecord(text, &r); err != nil || json.Unmarshal([]byte(text), &want) != nil || !same(r, want) {
			t.Errorf("%s: %v, %v", text, r, err)
		}
	}
	for _, text := range []string{``, `{`, `{"ID":"a"`, `{"ID":"a"}x`, `{"ID":"a",}`, `{"ID":"\x"}`, `{"ID":7}`, "{\"ID\":\"\x00\"}", `{"StopTimeout":01}`, `{"StopTimeout":-}`, `{"StopTimeout":- 1}`, `{"StopTimeout":1e1}`} {
		if err := parseRecord(text, new(Record)); err == nil {
			t.Errorf("%q is no error", text)
		}
	}
}

// FuzzParse: what the scanner takes, encoding/json takes, and reads the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"ID":"a","Command":["x","y\u003c"],"Created":"2026-01-02T03:04:05.6Z","Labels":{"k":"v"},"StopTimeout":-1,"Remove":true}`,
		`{"Pid":12,"Start":99,"Started":"2026-01-02T03:04:05+01:00","Ports":[],"ExitCode":3}`, `{"ID":"\n\"\\\/é"}`, `{}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r, wantR Record
		s := scanner{rest: text}
		if s.object(func(key string) { s.recordField(key, &r) }); s.finished() {
			if err := json.Unmarshal([]byte(text), &wantR); err != nil || !same(r, wantR) {
				t.Errorf("record %q: %+v, not %+v, %v", text, r, wantR, err)
			}
		}
		var l, wantL Life
		s = scanner{rest: text}
		if s.object(func(key string) { s.lifeField(key, &l) }); s.finished() {
			if err := json.Unmarshal([]byte(text), &wantL); err != nil || !same(l, wantL) {
				t.Errorf("life %q: %+v, not %+v, %v", text, l, wantL, err)
			}
		}
	})
}
