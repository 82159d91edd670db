package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"go.podman.io/image/v5/copy"
	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/pkg/shortnames"
	istorage "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/types"

	"github.com/rl-containers/rl/hint"
)

// PullOptions say what to pull.
type PullOptions struct {
	Name     string
	Platform string // OS/ARCH[/VARIANT]; "" is this machine's
	Authfile string
	// TLSVerify overrules registries.conf; nil follows it.
	TLSVerify *bool
}

// Pull gets an image from the first registry that has it, of those that its name stands for, and returns its id.
func (s *Store) Pull(ctx context.Context, o PullOptions) (string, error) {
	sys, found, err := s.access(o)
	if err != nil {
		return "", err
	}
	defer found.close()
	names, record, err := pullCandidates(sys, o.Name)
	if err != nil {
		return "", err
	}
	var failed []error
	for i, name := range names {
		id, err := s.pullOne(ctx, sys, name)
		if err == nil {
			record(i)
			s.tell("pull", id, name.String())
			return id, s.sync()
		}
		failed = append(failed, found.explain(explainRegistry(fmt.Errorf("pull %s: %w", name, err), name)))
	}
	if len(failed) == 1 {
		return "", failed[0]
	}
	texts := make([]string, len(failed))
	for i, err := range failed {
		texts[i] = strings.TrimPrefix(err.Error(), "pull ")
	}
	return "", hint.Errorf("the registries are those of unqualified-search-registries in registries.conf; a full name asks one only",
		"pull %s: no registry has it: %s", o.Name, strings.Join(texts, "; "))
}

// access is how registries are spoken to, and with which credentials.
func (s *Store) access(o PullOptions) (*types.SystemContext, *credentials, error) {
	sys, err := s.system(o.Platform)
	if err != nil {
		return nil, nil, err
	}
	// podman's variable; the library knows docker's.
	sys.AuthFilePath = cmp.Or(o.Authfile, os.Getenv("REGISTRY_AUTH_FILE"))
	found := &credentials{}
	if sys.AuthFilePath == "" {
		if found, err = findCredentials(); err != nil {
			return nil, nil, err
		}
		sys.AuthFilePath = found.path()
	}
	if o.TLSVerify != nil {
		sys.DockerInsecureSkipTLSVerify = types.NewOptionalBool(!*o.TLSVerify)
	}
	return sys, found, nil
}

// Tags are the names of all images of a repository: of the first registry that has it, of those that its name stands for.
func (s *Store) Tags(ctx context.Context, o PullOptions) ([]string, error) {
	if n, err := reference.ParseNormalizedNamed(strings.TrimPrefix(o.Name, "docker://")); err == nil && !reference.IsNameOnly(n) {
		return nil, hint.Errorf("rl pull --all-tags "+n.Name(), "pull --all-tags %s: a tag is named", o.Name)
	}
	sys, found, err := s.access(o)
	if err != nil {
		return nil, err
	}
	defer found.close()
	names, _, err := pullCandidates(sys, o.Name)
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, name := range names {
		ref, err := docker.NewReference(name)
		if err != nil {
			return nil, err
		}
		tags, err := docker.GetRepositoryTags(ctx, sys, ref)
		if err == nil {
			for i := range tags {
				tags[i] = name.Name() + ":" + tags[i]
			}
			return tags, nil
		}
		failed = append(failed, found.explain(explainRegistry(fmt.Errorf("list tags of %s: %w", name.Name(), err), name)))
	}
	return nil, errors.Join(failed...)
}

// pullCandidates are the full names to try, by the rules of containers-registries.conf(5). Where those say nothing of short
// names they are docker.io's, as docker's users mean them. record remembers the user's choice, where there was one.
func pullCandidates(sys *types.SystemContext, name string) (names []reference.Named, record func(int), err error) {
	bare := untagged(strings.TrimPrefix(name, "docker://"))
	normal, err := reference.ParseNormalizedNamed(bare)
	if err != nil {
		return nil, nil, badName(name, err)
	}
	resolved, err := shortnames.Resolve(sys, bare)
	// The library has no type for it, and other words where there is no registries.conf at all.
	if err != nil && strings.Contains(err.Error(), "did not resolve to an alias and no ") {
		return []reference.Named{reference.TagNameOnly(normal)}, func(int) {}, nil
	}
	if err != nil {
		err = fmt.Errorf("look up %s: %w", name, err)
		if strings.Contains(err.Error(), "short-name resolution") {
			err = hint.With(err, "name it in full, as in docker.io/library/"+bare)
		}
		return nil, nil, err
	}
	for _, c := range resolved.PullCandidates {
		names = append(names, reference.TagNameOnly(c.Value))
	}
	return names, func(i int) { resolved.PullCandidates[i].Record() }, nil
}

// pullOne copies one image into the store, trying again when the network failed.
func (s *Store) pullOne(ctx context.Context, sys *types.SystemContext, name reference.Named) (string, error) {
	src, err := docker.NewReference(name)
	if err != nil {
		return "", err
	}
	dst, err := istorage.Transport.NewStoreReference(s.store, name, "")
	if err != nil {
		return "", err
	}
	if s.progress != nil {
		fmt.Fprintf(s.progress, "Trying to pull %s...\n", name)
	}
	if err := rightPlatform(ctx, sys, src); err != nil {
		return "", err
	}
	for try := 1; ; try++ {
		id, err := s.copy(ctx, sys, src, dst)
		if err == nil || try == 3 || !again(err) || ctx.Err() != nil {
			return id, err
		}
		pause := time.Duration(try) * (500*time.Millisecond + rand.N(500*time.Millisecond))
		if s.progress != nil {
			fmt.Fprintf(s.progress, "trying again: %v\n", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// rightPlatform refuses an image of another platform than the one that was asked for: of a list of images the library takes
// the right one, of a single image whatever it is.
func rightPlatform(ctx context.Context, sys *types.SystemContext, src types.ImageReference) error {
	if sys.ArchitectureChoice == "" {
		return nil
	}
	img, err := src.NewImage(ctx, sys)
	if err != nil {
		return err
	}
	defer img.Close()
	c, err := img.OCIConfig(ctx)
	if err != nil {
		return err
	}
	if c.OS != sys.OSChoice || c.Architecture != sys.ArchitectureChoice {
		return fmt.Errorf("the image is for %s/%s, not for %s/%s", c.OS, c.Architecture, sys.OSChoice, sys.ArchitectureChoice)
	}
	return nil
}

// again: a failure of the network or of a busy server, which may pass.
func again(err error) bool {
	var timeout net.Error
	var unexpected docker.UnexpectedHTTPStatusError
	if errors.As(err, &unexpected) {
		return unexpected.StatusCode >= 500
	}
	// The library gives the registries' own codes (distribution-spec, "Error Codes") as text only.
	if text := err.Error(); strings.HasPrefix(text, "toomanyrequests") || strings.HasPrefix(text, "unavailable") {
		return true
	}
	return errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, os.ErrDeadlineExceeded)
}

// copy copies one image into the store and returns its id. Nothing of it stays in the store when it fails.
func (s *Store) copy(ctx context.Context, sys *types.SystemContext, src, dst types.ImageReference) (string, error) {
	if err := allowed(ctx, sys, src); err != nil {
		return "", err
	}
	pc, err := policy(sys)
	if err != nil {
		return "", err
	}
	defer pc.Destroy()
	ctx, watch, stop := watchdog(ctx)
	defer stop()
	var stored types.ImageReference
	_, err = copy.Image(ctx, pc, dst, src, &copy.Options{SourceCtx: sys, DestinationCtx: sys, ReportWriter: s.progress,
		Progress: watch, ProgressInterval: time.Second, ReportResolvedReference: &stored})
	if err != nil {
		return "", interrupted(ctx, err)
	}
	_, img, err := istorage.ResolveReference(stored)
	if err != nil {
		return "", err
	}
	if err := s.verify(ctx, img); err != nil {
		s.store.DeleteImage(img.ID, true)
		return "", err
	}
	return img.ID, nil
}

// idle is how long a registry may keep silent.
const idle = 30 * time.Second

// watchdog returns a context that ends when a download makes no progress. The library tells of progress in the channel;
// what it does with a layer once it is here takes as long as it takes.
func watchdog(parent context.Context) (ctx context.Context, watch chan types.ProgressProperties, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	watch = make(chan types.ProgressProperties)
	done := make(chan struct{})
	go func() {
		loading, started := 0, false
		timer := time.NewTimer(idle)
		for {
			select {
			case p := <-watch:
				switch p.Event {
				case types.ProgressEventNewArtifact:
					loading, started = loading+1, true
				case types.ProgressEventDone, types.ProgressEventSkipped:
					loading--
				}
				timer.Reset(idle)
			case <-timer.C:
				if started && loading <= 0 {
					timer.Reset(idle)
					continue
				}
				cancel(fmt.Errorf("no answer for %s", idle))
			case <-done:
				timer.Stop()
				return
			}
		}
	}()
	return ctx, watch, func() {
		close(done)
		cancel(nil)
	}
}
