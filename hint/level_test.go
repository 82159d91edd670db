package hint

import "testing"

func TestParseLevel(t *testing.T) {
	for word, want := range map[string]Level{"": LevelWarn, "warning": LevelWarn, "WARN": LevelWarn, "panic": LevelError, "fatal": LevelError,
		"error": LevelError, "info": LevelInfo, "debug": LevelDebug, "trace": LevelTrace} {
		if got, err := ParseLevel(word); err != nil || got != want {
			t.Errorf("%q: %d, %v", word, got, err)
		}
	}
	if _, err := ParseLevel("loud"); err == nil || len(Of(err)) == 0 {
		t.Errorf("loud: %v", err)
	}
}
