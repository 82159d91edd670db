package idmap

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain is also the child in the new user namespace: it says "up", waits for its maps, becomes root, and answers.
func TestMain(m *testing.M) {
	if os.Getenv("IDMAP_TEST_CHILD") == "" {
		os.Exit(m.Run())
	}
	fmt.Println("up")
	bufio.NewReader(os.Stdin).ReadString('\n')
	uids, _ := os.ReadFile("/proc/self/uid_map")
	gids, _ := os.ReadFile("/proc/self/gid_map")
	groups, _ := os.ReadFile("/proc/self/setgroups")
	fmt.Printf("%q %q %q\n", strings.Fields(string(uids)), strings.Fields(string(gids)), strings.TrimSpace(string(groups)))
	fmt.Println(os.Chown(os.Args[len(os.Args)-1], 1000, 1000))
}

// inside starts the child, writes m, and returns its maps and the outcome of chown(file, 1000, 1000).
func inside(t *testing.T, m Map) (maps, chown string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", file)
	cmd.Env = []string{"IDMAP_TEST_CHILD=1"}
	// Ambient capabilities keep the child's over its exec, as rl's own start does.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, AmbientCaps: []uintptr{unix.CAP_CHOWN}}
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Skipf("no user namespace here: %v", err)
	}
	r := bufio.NewReader(out)
	r.ReadString('\n')
	err := m.Write(cmd.Process.Pid)
	in.Close()
	rest, _ := io.ReadAll(r)
	cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	maps, chown, _ = strings.Cut(strings.TrimSpace(string(rest)), "\n")
	return maps, chown
}

func wantMaps(m Map) string {
	groups := "allow"
	if m.NoGroups() {
		groups = "deny"
	}
	return fmt.Sprintf("%q %q %q", strings.Fields(text(m.UIDs)), strings.Fields(text(m.GIDs)), groups)
}

func TestWriteMine(t *testing.T) {
	for _, userns := range []string{"", "keep-id"} {
		m, err := Mine(userns)
		if err != nil {
			t.Fatal(err)
		}
		maps, chown := inside(t, m)
		if maps != wantMaps(m) {
			t.Errorf("%s:\n got %s\nwant %s", m, maps, wantMaps(m))
		}
		if m.Rung != Single && chown != "<nil>" {
			t.Errorf("%s: chown: %s", m, chown)
		}
		t.Log(m, m.Note)
	}
}

func TestWriteSingle(t *testing.T) {
	m, err := Source{Tools: &Helpers{Why: "a test"}}.Map("")
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		m.Rung, m.UIDs, m.GIDs = Single, []Range{{0, 0, 1}}, []Range{{0, 0, 1}}
	}
	maps, chown := inside(t, m)
	if m.Rung != Single || maps != wantMaps(m) {
		t.Errorf("%s:\n got %s\nwant %s", m, maps, wantMaps(m))
	}
	if !strings.Contains(chown, "invalid argument") {
		t.Errorf("chown to an id that isn't mapped: %s", chown)
	}
}

func TestWriteRefused(t *testing.T) {
	m, err := Mine("")
	if err != nil || m.Rung != Subid {
		t.Skipf("no subordinate ids here: %v %v", m, err)
	}
	m.UIDs = append(m.UIDs[:1:1], Range{1, 4000000000, 5})
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	err = m.Write(cmd.Process.Pid)
	if err == nil || !strings.Contains(err.Error(), "newuidmap") || !strings.Contains(err.Error(), "not allowed") {
		t.Errorf("error %v", err)
	}
}

func TestHelperThatHangs(t *testing.T) {
	j, err := start([]string{"/bin/sleep", "1000"})
	if err != nil {
		t.Fatal(err)
	}
	err = finish([]*job{j}, time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "/bin/sleep: no answer within 1ms") {
		t.Errorf("error %v", err)
	}
	if unix.Kill(j.pid, 0) != unix.ESRCH {
		t.Error("it still runs")
	}
}

func TestHelperThatFails(t *testing.T) {
	_, err := output("/bin/sh", "-c", "echo one >&2; echo two; env; exit 3")
	if err == nil || !strings.HasPrefix(err.Error(), "/bin/sh: one; two") || !strings.HasSuffix(err.Error(), "(exit status 3)") {
		t.Errorf("error %v", err)
	}
	if strings.Contains(err.Error(), "HOME=") {
		t.Errorf("the environment got through: %v", err)
	}
}

func BenchmarkMine(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Mine(""); err != nil {
			b.Fatal(err)
		}
	}
}
