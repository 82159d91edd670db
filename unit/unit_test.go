package unit

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rl-containers/rl/hint"
)

func quadlet() *Quadlet {
	return &Quadlet{Program: "/usr/bin/rl", Flag: func(name string) bool { return name != "sdnotify" && name != "memory" }}
}

func write(t *testing.T, dir, name, text string) string {
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run is the command of the service that is made of text.
func run(t *testing.T, text string) (string, error) {
	s, err := quadlet().Container(write(t, t.TempDir(), "web.container", text))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(s.Text) {
		if words, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart=/usr/bin/rl run --rm --replace --name=systemd-%N "); ok {
			return words, nil
		}
	}
	t.Fatalf("no ExecStart in %s", s.Text)
	return "", nil
}

func TestKeys(t *testing.T) {
	for text, want := range map[string]string{
		"Image=tiny": "tiny",
		"Image=a\nImage=b\nExec=sh -c \"echo a b\"":                     `b sh -c "echo a b"`,
		"Image=x\nPublishPort=8080:80\nPublishPort=9090:90/udp":         "--publish=8080:80 --publish=9090:90/udp x",
		"Image=x\nVolume=data:/data\nVolume=/a:/b:ro":                   "--volume=data:/data --volume=/a:/b:ro x",
		"Image=x\nEnvironment=A=1 \"B=two words\"\nEnvironment=C='3 4'": `--env=A=1 "--env=B=two words" "--env=C=3 4" x`,
		"Image=x\nEnvironment=A=1\nEnvironment=\nEnvironment=B=2":       "--env=B=2 x",
		"Image=x\nUser=1000\nGroup=5":                                   "--user=1000:5 x",
		"Image=x\nReadOnly=yes\nRunInit=false":                          "--read-only --init=false x",
		"Image=x\nNoNewPrivileges=yes\nSeccompProfile=unconfined":       "--security-opt=no-new-privileges=true --security-opt=seccomp=unconfined x",
		"Image=x\nAddCapability=CAP_A CAP_B\\\n # said\n CAP_C":         "--cap-add=CAP_A --cap-add=CAP_B --cap-add=CAP_C x",
		"Image=x\nHealthCmd=curl -f http://localhost/ || exit 1":        `"--health-cmd=curl -f http://localhost/ || exit 1" x`,
		"Image=x\nPull=never\nPull=always\nStopSignal=SIGINT":           "--pull=always --stop-signal=SIGINT x",
		"Rootfs=/srv/root\nExec=/bin/true":                              "--rootfs /srv/root /bin/true",
		"Image=x\nPodmanArgs=--cap-drop=ALL \"--label=a=b c\"":          `--cap-drop=ALL "--label=a=b c" x`,
		"Image=x\nAddDevice=-/dev/nosuch\nAddDevice=/dev/null":          "--device=/dev/null x",
	} {
		got, err := run(t, "[Container]\n"+text+"\n")
		if err != nil || got != want {
			t.Errorf("%q:\n got %s %v\nwant %s", text, got, err, want)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for text, want := range map[string]string{
		"[Container]\nImage=x\nPublishPorts=1":                ":3: unknown key PublishPorts= of [Container]|is PublishPort= meant?",
		"[Container]\nImage=x\nimage=y":                       ":3: unknown key image=|is Image= meant?",
		"[Container]\nImage=x\n\nMemory=1g":                   ":4: Memory= can't be honoured: rl run has no --memory",
		"[Container]\nImage=x\nSecret=s":                      ":3: Secret= can't be honoured|rl keeps no secrets",
		"[Container]\nImage=x\nPod=a.pod":                     ":3: Pod= can't be honoured",
		"[Container]\nExec=a":                                 "web.container: [Container] has no Image=",
		"[Unit]\nDescription=x":                               "has no Image=",
		"[Container]\nImage=x\nVolume=a.volume:/a":            ":3: rl understands no .volume files|Volume=a:/a",
		"[Container]\nImage=x\nNetwork=a.network":             ":3: Network=a.network",
		"[Container]\nImage=a.build":                          ":2: rl understands no",
		"[Container]\nImage=x\nGroup=1":                       ":3: Group= needs User=",
		"[Container]\nImage=x\nRootfs=/":                      ":3: Image= and Rootfs= exclude",
		"[Container]\nImage=x\nReadOnly=perhaps":              ":3: ReadOnly=perhaps: neither yes nor no",
		"[Container]\nImage=x\nExec=sh -c 'open":              ":3: Exec=: a ' is not closed",
		"[Container]\nImage=x\nEnvironment=A=\\q":             `:3: Environment=: \q is no escape`,
		"[Container]\nImage=x\nnonsense":                      `:3: "nonsense" is none of what a unit file has`,
		"Image=x":                                             ":1: Image= is in no section",
		"[Container\nImage=x":                                 `:1: "[Container" is no title`,
		"[Container]\nImage=x\n[Service]\nExecStart=/bin/x":   ":4: ExecStart= is made of [Container]",
		"[Container]\nImage=x\n[Service]\nType=forking":       ":4: Type=forking",
		"[Container]\nImage=x\n[Service]\nKillMode=none":      ":4: KillMode=none would leave",
		"[Container]\nImage=x\nNotify=healthy":                "Notify=healthy can't be honoured",
		"[Container]\nImage=x\nReloadCmd=a\nReloadSignal=HUP": ":4: ReloadCmd= and ReloadSignal= exclude",
	} {
		_, err := run(t, text)
		message, advice, _ := strings.Cut(want, "|")
		if err == nil || !strings.Contains(err.Error(), message) || !strings.Contains(strings.Join(hint.Of(err), "\n"), advice) {
			t.Errorf("%q:\n got %v (%q)\nwant %s", text, err, hint.Of(err), want)
		}
	}
}

func TestServicePassesThrough(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "web.container", `# what it is
[Unit]
Description=Web server
After=db.container network.target

[Container]
Image=nginx
ContainerName=web
EnvironmentFile=web.env
Volume=./html:/usr/share/nginx/html:ro
ReloadSignal=HUP

[Service]
Restart=always
TimeoutStartSec=900

[Install]
WantedBy=default.target
`)
	s, err := quadlet().Container(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `# web.service, made by rl quadlet of ` + path + `

[Unit]
Description=Web server
After=db.service network.target
SourcePath=` + path + `

[Service]
Restart=always
TimeoutStartSec=900
Type=exec
KillMode=mixed
SyslogIdentifier=%N
SuccessExitStatus=143
ExecStart=/usr/bin/rl run --rm --replace --name=web --env-file=` + dir + `/web.env --volume=` + dir + `/html:/usr/share/nginx/html:ro nginx
ExecStop=/usr/bin/rl stop --ignore web
ExecStopPost=-/usr/bin/rl rm --force --volumes --ignore web
ExecReload=/usr/bin/rl kill --signal HUP web

[Install]
WantedBy=default.target
`
	if s.Name != "web.service" || s.Text != want {
		t.Errorf("%s:\n%s\nwant\n%s", s.Name, s.Text, want)
	}
}

// TestDropIns: the more specific directory counts for a name, names are read in their order.
func TestDropIns(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "a-b@1.container", "[Container]\nImage=x\n")
	write(t, dir, "container.d/10.conf", "[Container]\nLabel=from=all\n")
	write(t, dir, "a-.container.d/10.conf", "[Container]\nLabel=from=a\n")
	write(t, dir, "a-b@.container.d/20.conf", "[Container]\nLabel=from=template\n")
	write(t, dir, "a-b@1.container.d/05.conf", "[Container]\nImage=y\nContainerName=mine\n")
	write(t, dir, "a-b@1.container.d/ignored", "[Container]\nImage=z\n")
	s, err := quadlet().Container(path)
	if err != nil || s.Name != "a-b@1.service" || !strings.Contains(s.Text, " --name=mine --label=from=a --label=from=template y\n") {
		t.Errorf("%v\n%s", err, s.Text)
	}
	write(t, dir, "a-b@1.container.d/06.conf", "[Container]\nNosuch=1\n")
	if _, err := quadlet().Container(path); err == nil || !strings.Contains(err.Error(), "06.conf:2: unknown key") {
		t.Errorf("%v", err)
	}
}

func TestOtherFiles(t *testing.T) {
	if _, err := quadlet().Container(write(t, t.TempDir(), "x.pod", "[Pod]\n")); err == nil || !strings.Contains(err.Error(), ".container files only") {
		t.Errorf("%v", err)
	}
	if _, err := quadlet().Container("/nonexistent/x.container"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

func TestSplit(t *testing.T) {
	for line, want := range map[string][]string{
		"":                      nil,
		`  a  b	c `:             {"a", "b", "c"},
		`"a b" 'c "d'`:          {"a b", `c "d`},
		`a"b c"d ""`:            {"ab cd", ""},
		`a\x20b \101 \u00e9 \\`: {"a b", "A", "é", `\`},
		`'it\'s' "\n" \s`:       {"it's", "\n", " "},
	} {
		got, err := Split(line)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q %v, want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`"`, `'a`, `\`, `\q`, `\x2`, `\xzz`, `\x00`, `\777`} {
		if got, err := Split(line); err == nil {
			t.Errorf("%q: %q", line, got)
		}
	}
}

// FuzzQuote: what was quoted is split into what it was.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a b", `"`, `\`, "'", "\n\t", ";", "é", "--flag=x y", "\x01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsRune(s, 0) || strings.ToValidUTF8(s, "") != s {
			return
		}
		if s == ";" { // a command's, not a word's
			return
		}
		if got, err := Split(Quote(s)); err != nil || len(got) != 1 || got[0] != s {
			t.Errorf("%q: %s: %q %v", s, Quote(s), got, err)
		}
	})
}
