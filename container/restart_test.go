package container

import (
	"testing"
	"time"

	"github.com/rl-containers/rl/storage"
)

// TestBackOff: docker's 100 ms, doubled up to a minute, and anew after a life of more than ten seconds.
func TestBackOff(t *testing.T) {
	var delay time.Duration
	for _, want := range []time.Duration{100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000} {
		if delay = backOff(delay, time.Second); delay != want*time.Millisecond {
			t.Errorf("%v, want %v ms", delay, int(want))
		}
	}
	if delay = backOff(delay, 10*time.Second+1); delay != 100*time.Millisecond {
		t.Errorf("%v after a long life", delay)
	}
	if delay = backOff(delay, 10*time.Second); delay != 200*time.Millisecond {
		t.Errorf("%v after a short one", delay)
	}
}

func TestRestartPolicy(t *testing.T) {
	for word, want := range map[string]struct {
		kind  string
		times int
	}{"": {"", 0}, "no": {"no", 0}, "always": {"always", 0}, "unless-stopped": {"unless-stopped", 0}, "on-failure": {"on-failure", 0}, "on-failure:3": {"on-failure", 3}, "on-failure:0": {"on-failure", 0}} {
		if kind, times, err := restartPolicy(word); err != nil || kind != want.kind || times != want.times {
			t.Errorf("%q: %s, %d, %v", word, kind, times, err)
		}
	}
	for _, word := range []string{"never", "always:3", "on-failure:", "on-failure:-1", "on-failure:x", "unless-stopped:1"} {
		if _, _, err := restartPolicy(word); err == nil {
			t.Errorf("%q is accepted", word)
		}
	}
}

// TestStartsOnBoot: always starts what ever ran, unless-stopped not what somebody stopped.
func TestStartsOnBoot(t *testing.T) {
	s := storage.State{Dir: t.TempDir(), Status: storage.Exited}
	for policy, want := range map[string]bool{"": false, "no": false, "on-failure": false, "always": true, "unless-stopped": true} {
		if s.Restart = policy; startsOnBoot(&s) != want {
			t.Errorf("%s: %v", policy, !want)
		}
	}
	if err := s.AskStop(); err != nil {
		t.Fatal(err)
	}
	if s.Restart = "always"; !startsOnBoot(&s) {
		t.Error("always: stopped")
	}
	if s.Restart = "unless-stopped"; startsOnBoot(&s) {
		t.Error("unless-stopped: stopped")
	}
	if s.Restart, s.Status = "always", storage.Created; startsOnBoot(&s) {
		t.Error("it never ran")
	}
}
