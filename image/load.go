package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	dockerarchive "go.podman.io/image/v5/docker/archive"
	"go.podman.io/image/v5/docker/reference"
	"go.podman.io/image/v5/image"
	"go.podman.io/image/v5/oci/layout"
	istorage "go.podman.io/image/v5/storage"
	"go.podman.io/image/v5/types"
	"go.podman.io/storage/pkg/archive"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

const archiveForms = "docker-archive and oci-archive files (also compressed) and OCI directories can be loaded; the tar archive of a root file system is for rl import"

// Load puts all images of an archive or an OCI directory into the store and returns their names, or ids of nameless ones.
// path "" is stdin.
func (s *Store) Load(ctx context.Context, path string) (loaded []string, err error) {
	file, err := s.input(path)
	if err != nil {
		return nil, err
	}
	if path == "" || path == "-" {
		path = "stdin"
	}
	sources, done, err := s.open(file)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, explain(err))
	}
	defer done()
	if len(sources) == 0 {
		return nil, hint.Errorf(archiveForms, "load %s: it holds no image", path)
	}
	for _, src := range sources {
		names, err := s.loadOne(ctx, src)
		if err != nil {
			return loaded, fmt.Errorf("load %s: %w", path, explain(err))
		}
		loaded = append(loaded, names...)
	}
	return loaded, s.sync()
}

// input is a file that can be read more than once.
func (s *Store) input(path string) (string, error) {
	if path != "" && path != "-" {
		st, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		if st.IsDir() || st.Mode().IsRegular() {
			return filepath.Abs(path)
		}
	}
	in := os.Stdin
	if path != "" && path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	} else if _, err := unix.IoctlGetTermios(int(in.Fd()), unix.TCGETS); err == nil {
		return "", hint.Errorf("rl load -i FILE, or … | rl load", "stdin is a terminal, not an archive")
	}
	spool := filepath.Join(s.staging, "stdin")
	f, err := os.OpenFile(spool, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	n, err := io.Copy(f, in)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	switch {
	case err != nil:
		return "", explain(fmt.Errorf("read %s: %w", in.Name(), err))
	case n == 0:
		return "", hint.Errorf("rl load -i FILE, or … | rl load", "load %s: it is empty", in.Name())
	}
	return spool, nil
}

// source is one image of an archive, with the names that it is to get.
type source struct {
	ref   types.ImageReference
	names []string
}

// open finds out what path is and lists its images.
func (s *Store) open(path string) (sources []source, done func(), err error) {
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		sources, err = fromLayout(path)
		return sources, func() {}, err
	}
	isOCI, err := s.unpackLayout(path)
	if err != nil {
		return nil, nil, err
	}
	if isOCI {
		sources, err = fromLayout(s.layoutDir())
		return sources, func() {}, err
	}
	r, err := dockerarchive.NewReader(&types.SystemContext{BigFilesTemporaryDir: s.staging}, path)
	if err != nil {
		return nil, nil, hint.With(fmt.Errorf("not an archive of images: %w", err), archiveForms)
	}
	sources, err = fromDocker(r)
	return sources, func() { r.Close() }, err
}

func fromLayout(dir string) ([]source, error) {
	list, err := layout.List(dir)
	if err != nil {
		return nil, hint.With(fmt.Errorf("not an OCI layout: %w", err), archiveForms)
	}
	var sources []source
	for _, l := range list {
		name := l.ManifestDescriptor.Annotations["io.containerd.image.name"]
		if name == "" {
			name = l.ManifestDescriptor.Annotations["org.opencontainers.image.ref.name"]
		}
		one := source{ref: l.Reference}
		if name != "" {
			if !strings.Contains(name, "/") {
				name = "localhost/" + name
			}
			n, err := reference.ParseNormalizedNamed(name)
			if err != nil {
				return nil, badName(name, err)
			}
			one.names = []string{reference.TagNameOnly(n).String()}
		}
		sources = append(sources, one)
	}
	return sources, nil
}

func fromDocker(r *dockerarchive.Reader) ([]source, error) {
	lists, err := r.List()
	if err != nil {
		return nil, hint.With(err, archiveForms)
	}
	var sources []source
	for _, refs := range lists {
		if len(refs) == 0 {
			continue
		}
		one := source{ref: refs[0]}
		for _, ref := range refs {
			if n := ref.DockerReference(); n != nil {
				one.names = append(one.names, reference.TagNameOnly(n).String())
			}
		}
		sources = append(sources, one)
	}
	return sources, nil
}

func (s *Store) layoutDir() string { return filepath.Join(s.staging, "layout") }

// unpackLayout unpacks an oci-archive: what the OCI image-layout names, and nothing else that a tar may hold. It tells
// whether the archive is one; an archive with both forms (docker save since 25) is one.
func (s *Store) unpackLayout(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	plain, err := archive.DecompressStream(f)
	if err != nil {
		return false, hint.With(fmt.Errorf("not an archive: %w", err), archiveForms)
	}
	defer plain.Close()
	allowed := regexp.MustCompile(`^(oci-layout|index\.json|blobs/[a-z0-9]+/[0-9a-f]{32,128})$`)
	isOCI := false
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return isOCI, nil
		}
		if err != nil {
			return false, hint.With(fmt.Errorf("not a whole tar archive: %w", err), archiveForms)
		}
		name := strings.TrimPrefix(h.Name, "./")
		if h.Typeflag != tar.TypeReg || !allowed.MatchString(name) {
			continue
		}
		isOCI = isOCI || name == "index.json"
		if err := writeOnce(filepath.Join(s.layoutDir(), name), r); err != nil {
			return false, err
		}
	}
}

func writeOnce(path string, r io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil // blobs may be there twice
	}
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, r); err != nil {
		f.Close()
		return fmt.Errorf("unpack %s: %w", filepath.Base(path), err)
	}
	return f.Close()
}

// loadOne copies one image, and gives it its names, which other images lose.
func (s *Store) loadOne(ctx context.Context, src source) ([]string, error) {
	sys, err := s.system("")
	if err != nil {
		return nil, err
	}
	if err := noForeignLayers(ctx, sys, src.ref); err != nil {
		return nil, err
	}
	var named reference.Named
	if len(src.names) > 0 {
		if named, err = reference.ParseNormalizedNamed(src.names[0]); err != nil {
			return nil, badName(src.names[0], err)
		}
	}
	dst, err := s.destination(ctx, sys, src.ref, named)
	if err != nil {
		return nil, err
	}
	id, err := s.copy(ctx, sys, src.ref, dst)
	if err != nil {
		return nil, err
	}
	if len(src.names) > 1 {
		if err := s.store.AddNames(id, src.names[1:]); err != nil {
			return nil, err
		}
	}
	s.tell("loadfromarchive", id, src.names...)
	if len(src.names) == 0 {
		return []string{"sha256:" + id}, nil
	}
	return src.names, nil
}

// destination is a place in the store; an image without a name goes by the digest of its config.
func (s *Store) destination(ctx context.Context, sys *types.SystemContext, src types.ImageReference, named reference.Named) (types.ImageReference, error) {
	if named != nil {
		return istorage.Transport.NewStoreReference(s.store, named, "")
	}
	img, err := src.NewImage(ctx, sys)
	if err != nil {
		return nil, err
	}
	defer img.Close()
	return istorage.Transport.NewStoreReference(s.store, nil, img.ConfigInfo().Digest.Encoded())
}

// noForeignLayers refuses an archive that would have us fetch its layers from addresses of its choice (image-spec
// descriptor.md, "urls").
func noForeignLayers(ctx context.Context, sys *types.SystemContext, ref types.ImageReference) error {
	src, err := ref.NewImageSource(ctx, sys)
	if err != nil {
		return err
	}
	defer src.Close()
	img, err := image.FromUnparsedImage(ctx, sys, image.UnparsedInstance(src, nil))
	if err != nil {
		return err
	}
	for _, l := range img.LayerInfos() {
		if len(l.URLs) > 0 {
			return hint.Errorf("ask who made the archive for one with all layers in it", "layer %s is not in the archive but at %s, which is not fetched", l.Digest, l.URLs[0])
		}
	}
	return nil
}
