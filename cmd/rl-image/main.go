// Command rl-image does for rl what needs registries, archives and the database of the image store. rl starts it as root of
// a user namespace with the user's ids, and gives it one request on descriptor 3.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/sirupsen/logrus"
	"go.podman.io/storage/pkg/reexec"

	"github.com/rl-containers/rl/cmd/verbs"
	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/image"
	"github.com/rl-containers/rl/storage"
)

// version is set by the linker (Makefile), to the same as rl's.
var version = "0.1.0-dev"

// request is package container's toolRequest.
type request struct {
	Version string          `json:"version"`
	Verb    string          `json:"verb"`
	Args    json.RawMessage `json:"args"`
	Store   struct {
		DataDir     string `json:"data_dir"`
		GraphRoot   string `json:"graph_root"`
		SingleUID   bool   `json:"single_uid"`
		RootlessUID int    `json:"rootless_uid"`
		RootlessGID int    `json:"rootless_gid"`
	} `json:"store"`
}

func main() {
	// The storage library starts this program again to unpack a layer with the store as its root directory.
	if reexec.Init() {
		return
	}
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println("rl-image version " + version)
		return
	}
	libraryNotes()
	os.Exit(report(serve()))
}

func report(err error) int {
	if err == nil {
		return 0
	}
	code := 125
	var exit *hint.Exit
	if errors.As(err, &exit) {
		if code = exit.Code; exit.Err == nil {
			return code
		}
	}
	hint.Print(os.Stderr, "rl", err)
	return code
}

func serve() error {
	r, err := read()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	configure(r)
	err = run(ctx, r)
	if ctx.Err() != nil {
		return &hint.Exit{Code: 130, Err: fmt.Errorf("%s: interrupted", r.Verb)}
	}
	return err
}

// read takes the request; without one, somebody has called this by hand.
func read() (*request, error) {
	f := os.NewFile(3, "request")
	if f == nil {
		return nil, hint.Errorf("rl pull, rl images …", "rl-image is rl's helper and not to be called by itself")
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, hint.Errorf("rl pull, rl images …", "rl-image is rl's helper and not to be called by itself: %w", err)
	}
	r := new(request)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("request of rl: %w", err)
	}
	if r.Version != version {
		return nil, hint.Errorf("make install puts both in place", "rl is version %s, its helper rl-image is %s", r.Version, version)
	}
	return r, nil
}

// configure tells the libraries what rl knows: that they are root of a user namespace of this user's.
func configure(r *request) {
	if r.Store.RootlessUID == 0 {
		return
	}
	os.Setenv("_CONTAINERS_USERNS_CONFIGURED", "done")
	os.Setenv("_CONTAINERS_ROOTLESS_UID", strconv.Itoa(r.Store.RootlessUID))
	os.Setenv("_CONTAINERS_ROOTLESS_GID", strconv.Itoa(r.Store.RootlessGID))
}

// job is one verb with its arguments read.
type job struct {
	args  any
	quiet *bool // no progress
	run   func(context.Context, *image.Store) error
}

func run(ctx context.Context, r *request) error {
	j, err := jobFor(r.Verb)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(r.Args, j.args); err != nil {
		return fmt.Errorf("request of rl: %w", err)
	}
	options := image.Options{Store: &storage.Store{DataDir: r.Store.DataDir, GraphRoot: r.Store.GraphRoot}, SingleUID: r.Store.SingleUID, Freeing: r.Verb == "rmi" || r.Verb == "prune"}
	if j.quiet == nil || !*j.quiet {
		options.Progress = os.Stderr
	}
	s, err := image.Open(options)
	if err != nil {
		return err
	}
	defer s.Close()
	return j.run(ctx, s)
}

// answer is for rl: JSON on standard output, also of what was done before a failure.
func answer[T any](v *T, err error) error {
	if v == nil {
		return err
	}
	return errors.Join(json.NewEncoder(os.Stdout).Encode(v), err)
}

func jobFor(verb string) (*job, error) {
	switch verb {
	case "pull":
		a := new(verbs.Pull)
		return &job{a, &a.Quiet, func(ctx context.Context, s *image.Store) error { return pull(ctx, s, a) }}, nil
	case "images":
		a := new(verbs.Images)
		return &job{a, nil, func(ctx context.Context, s *image.Store) error { return images(ctx, s, a) }}, nil
	case "rmi":
		a := new(verbs.Rmi)
		return &job{a, nil, func(_ context.Context, s *image.Store) error { return rmi(s, a) }}, nil
	case "load":
		a := new(verbs.Load)
		return &job{a, &a.Quiet, func(ctx context.Context, s *image.Store) error { return load(ctx, s, a) }}, nil
	case "import":
		a := new(verbs.Import)
		return &job{a, &a.Quiet, func(ctx context.Context, s *image.Store) error { return importTar(ctx, s, a) }}, nil
	case "commit":
		a := new(storage.Commit)
		return &job{a, &a.Quiet, func(_ context.Context, s *image.Store) error { return commit(s, a) }}, nil
	case "prune":
		a := new(storage.PruneImages)
		return &job{a, nil, func(ctx context.Context, s *image.Store) error { return answer(s.Prune(ctx, *a)) }}, nil
	case "inspect":
		a := new(storage.InspectImages)
		return &job{a, nil, func(ctx context.Context, s *image.Store) error { return answer(s.Inspect(ctx, a.Names)) }}, nil
	case "usage":
		return &job{new(struct{}), nil, func(_ context.Context, s *image.Store) error { return answer(s.Usage()) }}, nil
	case "resolve":
		a := new(storage.Resolve)
		return &job{a, &a.Quiet, func(ctx context.Context, s *image.Store) error { return s.Resolve(ctx, *a) }}, nil
	}
	return nil, fmt.Errorf("request of rl: unknown verb %q", verb)
}

// libraryNotes are what the libraries tell themselves, for who wants to read all.
func libraryNotes() {
	logrus.SetLevel(logrus.ErrorLevel)
	if hint.Tells(hint.LevelDebug) {
		logrus.SetLevel(logrus.DebugLevel)
	}
}
