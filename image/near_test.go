package image

import (
	"strings"
	"testing"
)

func TestNearImage(t *testing.T) {
	names := []string{"tiny", "docker.io/library/alpine:latest", "docker.io/library/debian:12", "localhost/web:v1", "quay.io/some/thing:latest", "docker.io/library/x@sha256:00"}
	for word, want := range map[string]string{
		"alpien": "alpine", "alpine:3": "", "alpine:lates": "alpine", "docker.io/library/alpin": "docker.io/library/alpine",
		"debian": "debian:12", "debain": "debian:12", "debian:13": "debian:12", "wbe": "web:v1", "web:v2": "web:v1", "tyny": "tiny",
		"quay.io/some/thin": "quay.io/some/thing", "quay.io:5000/some/thing": "", "nothing": "",
	} {
		if got := strings.Join(nearImage(word, names), ""); got != "did you mean "+want+"?" && (want != "" || got != "") {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}
