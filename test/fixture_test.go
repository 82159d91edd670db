package test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// fixtures makes the images of the tests, each once a run and when it is wanted. get returns the path of an OCI archive that
// names its image localhost/NAME:latest, unless said otherwise in makers.
type fixtures struct {
	dir       string
	debianTar string

	mu   sync.Mutex
	made map[string]func() (string, error)
}

func (f *fixtures) get(name string) (string, error) {
	f.mu.Lock()
	if f.made == nil {
		f.made = map[string]func() (string, error){}
	}
	make := f.made[name]
	if make == nil {
		make = sync.OnceValues(func() (string, error) { return f.make(name) })
		f.made[name] = make
	}
	f.mu.Unlock()
	return make()
}

func (f *fixtures) make(name string) (string, error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(f.dir, name)
	switch name {
	case "rootfs": // a directory
		return path, unpack(path, busyboxFiles())
	case "rootfs_tar":
		return path + ".tar", os.WriteFile(path+".tar", pack(busyboxFiles()), 0o600)
	case "docker": // a docker-archive
		return path + ".tar", dockerArchive(path+".tar", name, busyboxImage)
	case "docker_health":
		return path + ".tar", dockerArchive(path+".tar", name, healthImage)
	case "ocidir": // an OCI layout as a directory
		return path, f.write(path, name, busyboxImage)
	case "truncated":
		return path + ".tar", f.truncated(path + ".tar")
	case "corrupt":
		return path, f.corrupt(path)
	}
	build, ok := images[name]
	if !ok {
		return "", fmt.Errorf("no fixture %s", name)
	}
	if name == "debian" {
		build = f.debian
	}
	if err := f.write(path, name, build); err != nil {
		return "", err
	}
	archive := path + ".tar"
	if err := archiveDir(archive, path); err != nil {
		return "", err
	}
	return archive, os.RemoveAll(path)
}

type builder = func() (v1.Image, error)

// images by fixture name.
var images = map[string]builder{
	"busybox":  busyboxImage,
	"layers":   layersImage,
	"deep":     deepImage,
	"config":   configImage,
	"health":   healthImage,
	"debian":   nil, // by hack/debian-image
	"foreign":  foreignImage,
	"dotdot":   func() (v1.Image, error) { return hostile(file("../../../../escaped", "out")) },
	"absolute": func() (v1.Image, error) { return hostile(file("/absolute", "in")) },
	"linkout": func() (v1.Image, error) {
		return hostile(symlink("out", "/tmp"), file("out/escaped-by-symlink", "out"))
	},
	"hardout":    func() (v1.Image, error) { return hostile(hardlink("stolen", "../../../../../../../../etc/passwd")) },
	"device":     func() (v1.Image, error) { return hostile(device("dev/evil", 8, 0)) },
	"baddiff":    badDiffImage,
	"fifo":       fifoImage,
	"bomb":       bombImage,
	"workdir":    workdirImage,
	"volume":     volumeImage,
	"many":       manyImage,
	"evilvolume": evilVolumeImage,
	"nopasswd":   func() (v1.Image, error) { return scratch(withoutPasswd(busyboxFiles())) },
}

// write makes an OCI layout in a directory.
func (f *fixtures) write(dir, name string, build builder) error {
	img, err := build()
	if err != nil {
		return err
	}
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	return path.AppendImage(img, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": "localhost/" + name + ":latest",
	}))
}

// archiveDir makes an OCI archive (a tar of the layout) of dir.
func archiveDir(archive, dir string) error {
	out, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer out.Close()
	w := tar.NewWriter(out)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return out.Close()
}

// entry is one file of a layer.
type entry struct {
	tar.Header
	data string
}

func file(name, data string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(data))}, data}
}

func executable(name, data string) entry {
	e := file(name, data)
	e.Mode = 0o755
	return e
}

func directory(name string) entry {
	return entry{tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}, ""}
}

func symlink(name, target string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target, Mode: 0o777}, ""}
}

func hardlink(name, target string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target, Mode: 0o644}, ""}
}

func device(name string, major, minor int64) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeBlock, Devmajor: major, Devminor: minor, Mode: 0o666}, ""}
}

func (e entry) owned(uid, gid int) entry {
	e.Uid, e.Gid = uid, gid
	return e
}

func (e entry) mode(mode int64) entry {
	e.Mode = mode
	return e
}

func (e entry) xattr(name, value string) entry {
	e.PAXRecords = map[string]string{"SCHILY.xattr." + name: value}
	return e
}

// pack makes a tar archive; a failure is a mistake in the table of entries.
func pack(entries []entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := e.Header
		if h.PAXRecords != nil {
			h.Format = tar.FormatPAX
		}
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		if _, err := io.WriteString(w, e.data); err != nil {
			panic(err)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// unpack makes the plain files of entries on disk, as the user: for --rootfs.
func unpack(dir string, entries []entry) error {
	for _, e := range entries {
		path := filepath.Join(dir, e.Name)
		var err error
		switch e.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, 0o755)
		case tar.TypeSymlink:
			err = os.Symlink(e.Linkname, path)
		default:
			err = os.WriteFile(path, []byte(e.data), os.FileMode(e.Mode&0o777))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func layer(entries ...entry) (v1.Layer, error) {
	b := pack(entries)
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestSpeed))
}

// scratch is an image of these layers, for this CPU.
func scratch(layers ...[]entry) (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.ConfigFile(img, &v1.ConfigFile{
		OS: "linux", Architecture: goarch, RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{Cmd: []string{"sh"}, Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}},
	})
	if err != nil {
		return nil, err
	}
	for _, entries := range layers {
		l, err := layer(entries...)
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, l); err != nil {
			return nil, err
		}
	}
	return img, nil
}

// debian is the tree of hack/debian-image as one layer.
func (f *fixtures) debian() (v1.Image, error) {
	base, err := scratch()
	if err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromFile(f.debianTar, tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestSpeed))
	if err != nil {
		return nil, err
	}
	return mutate.AppendLayers(base, l)
}

// hostile is busybox and a layer that must not reach the host.
func hostile(entries ...entry) (v1.Image, error) { return scratch(busyboxFiles(), entries) }

func withoutPasswd(entries []entry) []entry {
	var rest []entry
	for _, e := range entries {
		if !strings.HasPrefix(e.Name, "etc/") {
			rest = append(rest, e)
		}
	}
	return rest
}

// bombImage has a layer of 10 GB of zeros in 10 MB: one gzip member, many times (RFC 1952 allows that).
func bombImage() (v1.Image, error) {
	const size, members = 64 << 20, 160
	var member bytes.Buffer
	z, _ := gzip.NewWriterLevel(&member, gzip.BestSpeed)
	z.Write(make([]byte, size))
	z.Close()
	var header bytes.Buffer
	h, _ := gzip.NewWriterLevel(&header, gzip.BestSpeed)
	w := tar.NewWriter(h)
	w.WriteHeader(&tar.Header{Name: "zeros", Typeflag: tar.TypeReg, Mode: 0o644, Size: size * members})
	h.Close()
	blob := append(header.Bytes(), bytes.Repeat(member.Bytes(), members)...)
	base, err := scratch(busyboxFiles())
	if err != nil {
		return nil, err
	}
	// Its diff id is that of the blob: it will not get so far that this matters.
	return mutate.AppendLayers(base, static.NewLayer(blob, types.OCILayer))
}
