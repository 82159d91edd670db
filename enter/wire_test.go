package enter

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

// fillValue gives each field of v, and of all below it, a value of its own.
func fillValue(t *testing.T, v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(-*n))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n) % 250)
	case reflect.String:
		v.SetString(string(rune('a' + *n%26)))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillValue(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillValue(t, v.Index(0), n)
		fillValue(t, v.Index(1), n)
	case reflect.Array:
		for i := range v.Len() {
			fillValue(t, v.Index(i), n)
		}
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fillValue(t, key, n)
		fillValue(t, value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for i := range v.NumField() {
			fillValue(t, v.Field(i), n)
		}
	default:
		t.Fatalf("a plan holds a %s", v.Type())
	}
}

func encoded(t *testing.T, p *Plan) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := WritePlan(&b, p); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()[4:]
}

// TestPlanArrives: all that a plan can hold comes back as it was, nil apart from empty.
func TestPlanArrives(t *testing.T) {
	full, n := new(Plan), 0
	fillValue(t, reflect.ValueOf(full).Elem(), &n)
	for _, p := range []*Plan{full, {}, {Masked: []string{}, Files: map[string][]byte{"x": {}}}} {
		got, err := decodePlan(encoded(t, p))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, p) {
			t.Errorf("sent %+v, got %+v", p, got)
		}
	}
}

// TestBrokenPlan: whatever is cut off is an error, never a crash.
func TestBrokenPlan(t *testing.T) {
	full, n := new(Plan), 0
	fillValue(t, reflect.ValueOf(full).Elem(), &n)
	b := encoded(t, full)
	for i := range b {
		if _, err := decodePlan(b[:i]); !errors.Is(err, errWire) {
			t.Fatalf("the first %d of %d bytes: %v", i, len(b), err)
		}
	}
	if _, err := decodePlan(append(b, 0)); !errors.Is(err, errWire) {
		t.Errorf("a byte too many: %v", err)
	}
	b[1] ^= 1
	if _, err := decodePlan(b); err == nil || errors.Is(err, errWire) {
		t.Errorf("another build's: %v", err)
	}
}
