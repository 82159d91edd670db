package test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "github.com/rl-containers/rl"

// floors is the house of the design: an import goes to a lower floor only. A new package is entered here on purpose.
var floors = map[string]int{
	"hint": 0, "lazyjson": 0,
	"idmap": 1, "spec": 1, "sys": 1,
	"archive": 2, "logs": 2, "events": 2, "session": 2, "systemd": 2, "unit": 2,
	"userns": 3, "enter": 3, "slirp": 3, "storage": 3, "cgroup": 3, "seccomp": 3,
	"plan": 4, "stdio": 4,
	"container": 5, "image": 5, "doctor": 5, "oci": 5,
	"cmd/verbs": 6,
	"cmd/rl":    7, "cmd/rl-enter": 7, "cmd/rl-image": 7, "cmd/rl-tiny": 7,
	"test": 8, "hack": 8,
}

// heavy trees cost time at each start, for their package state alone: rl must not link them.
var heavy = []string{
	"net/http", "crypto/tls", "crypto/x509", "go.podman.io/", "github.com/containers/", "google.golang.org/",
	"github.com/google/go-containerregistry", "github.com/u-root/", "mvdan.cc/sh", module + "/image",
}

// goList runs go list in the module's root.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command(cmp.Or(os.Getenv("GO"), "go"), append([]string{"list", "-tags", os.Getenv("TAGS")}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		if exit, ok := err.(*exec.ExitError); ok {
			t.Fatalf("go list %v: %s", args, exit.Stderr)
		}
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func TestHouseLight(t *testing.T) {
	for _, path := range goList(t, "-deps", "./cmd/rl") {
		for _, h := range heavy {
			if path == h || strings.HasPrefix(path, h) && (strings.HasSuffix(h, "/") || strings.HasPrefix(path, h+"/")) {
				t.Errorf("rl links %s; find out why with: go mod why or go list -deps", path)
			}
		}
	}
}

// TestHouseInside: rl-enter is a program of its own for what it doesn't link.
func TestHouseInside(t *testing.T) {
	for _, path := range goList(t, "-deps", "./cmd/rl-enter") {
		for _, h := range []string{"github.com/alecthomas/kong", "github.com/opencontainers/", "regexp", "net", "flag", "text/template"} {
			if path == h || strings.HasPrefix(path, h+"/") || strings.HasSuffix(h, "/") && strings.HasPrefix(path, h) {
				t.Errorf("rl-enter links %s", path)
			}
		}
	}
}

func TestHouseFloors(t *testing.T) {
	for _, line := range goList(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...") {
		words := strings.Fields(line)
		from := inHouse(words[0])
		floor, known := floors[top(from)]
		if !known {
			t.Errorf("%s has no floor in this test", from)
		}
		for _, path := range words[1:] {
			to := inHouse(path)
			if to == "" {
				if strings.HasPrefix(path, "go.podman.io/") && top(from) != "image" && from != "cmd/rl-image" {
					t.Errorf("%s imports %s: only image does", from, path)
				}
				continue
			}
			if top(to) != top(from) && floors[top(to)] >= floor {
				t.Errorf("%s imports %s: not a lower floor", from, to)
			}
		}
	}
}

// inHouse is the path of a package of this module within it, "" for another's.
func inHouse(path string) string {
	rest, ok := strings.CutPrefix(path, module+"/")
	if !ok {
		return ""
	}
	return rest
}

// top is the entry of floors that a package belongs to: a subpackage lives on the floor of its parent.
func top(path string) string {
	for path != "." {
		if _, ok := floors[path]; ok {
			return path
		}
		path = filepath.Dir(path)
	}
	return ""
}

// TestHouseStyle: no file over 600 lines, no function over 100, no init, no table that is computed at each start.
func TestHouseStyle(t *testing.T) {
	files := 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		files++
		checkFile(t, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatal("no source file was looked at")
	}
}

func checkFile(t *testing.T, path string) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return
	}
	if n := set.File(f.Pos()).LineCount(); n > 600 {
		t.Errorf("%s has %d lines", path, n)
	}
	generated := ast.IsGenerated(f)
	for _, decl := range f.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if n := set.Position(decl.End()).Line - set.Position(decl.Pos()).Line + 1; n > 100 && !generated {
				t.Errorf("%s: %s has %d lines", path, decl.Name.Name, n)
			}
			if decl.Name.Name == "init" && decl.Recv == nil {
				t.Errorf("%s: init()", path)
			}
		case *ast.GenDecl:
			if decl.Tok == token.VAR && !strings.HasSuffix(path, "_test.go") && compiles(decl) {
				t.Errorf("%s: a package variable calls regexp or template at start", path)
			}
		}
	}
}

// compiles: a declaration that calls regexp.* or template.* before main.
func compiles(decl *ast.GenDecl) bool {
	found := false
	ast.Inspect(decl, func(n ast.Node) bool {
		if _, ok := n.(*ast.FuncLit); ok {
			return false
		}
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
			if pkg, ok := sel.X.(*ast.Ident); ok && (pkg.Name == "regexp" || pkg.Name == "template") {
				found = true
			}
		}
		return true
	})
	return found
}

// TestHouseDependencies: each direct dependency has its reason in docs/dependencies.md.
func TestHouseDependencies(t *testing.T) {
	doc, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range goList(t, "-m", "-f", "{{if not (or .Indirect .Main)}}{{.Path}}{{end}}", "all") {
		if path != "" && !strings.Contains(string(doc), "`"+path+"`") {
			t.Errorf("docs/dependencies.md does not say why %s is needed", path)
		}
	}
}
