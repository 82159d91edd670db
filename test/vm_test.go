package test

import (
	"os"
	"path/filepath"
	"testing"
)

// TestVM is run in the virtual machine of hack/vm, by the user and in the kind of session that the group's file "how" names.
func TestVM(t *testing.T) {
	group := vmGroup()
	if group == "" {
		t.Skip("not in a virtual machine: hack/test -run TestVM/GROUP")
	}
	t.Run(group, func(t *testing.T) { runScripts(t, filepath.Join("vm", group)) })
}

// vmGroup is the directory of vm whose scripts are run, "" outside of the virtual machine.
func vmGroup() string { return os.Getenv("RL_TEST_VM") }
