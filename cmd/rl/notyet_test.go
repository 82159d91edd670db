package main

import (
	"regexp"
	"testing"
)

// TestNotYet: what rl has is not said to be absent, and a flag that is named to type instead is there.
func TestNotYet(t *testing.T) {
	run := find(commands(), "run")
	parser, err := run.parser(run.command())
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{}
	for _, c := range (&line{model: parser.Model.Node}).flags() {
		flags[c.word] = true
	}
	tried := 0
	for _, word := range []string{"--runtime", "--uidmap", "--gidmap", "--subuidname", "--subgidname", "--hostuser", "--passwd", "--passwd-entry", "--group-entry",
		"--secret", "--pod", "--pod-id-file", "--requires", "--device-cgroup-rule", "--storage-opt", "--disable-content-trust", "--isolation", "--seccomp-policy",
		"--init-path", "--creds", "--cert-dir", "--kernel-memory", "--volume-driver", "--network-alias", "--ip", "--link", "--mac-address", "--gpus"} {
		why := notYet(word)
		if why == "" || flags[word] {
			t.Errorf("%s: %q", word, why)
		}
		for _, named := range regexp.MustCompile(`(^| )--[a-z-]+`).FindAllString(why, -1) {
			tried++
			if named = regexp.MustCompile(`--.*`).FindString(named); !flags[named] && word != "--runtime" {
				t.Errorf("%s: there is no %s", word, named)
			}
		}
	}
	if tried < 10 {
		t.Errorf("only %d flags were looked at", tried)
	}
}
