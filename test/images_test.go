package test

import (
	"archive/tar"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const goarch = runtime.GOARCH

// readBusybox is Debian's static busybox: the one program that all fixtures hold.
var readBusybox = sync.OnceValues(func() (string, []string) {
	b, err := os.ReadFile("/bin/busybox")
	if err != nil {
		panic(fmt.Sprintf("%v: apt-get install busybox-static", err))
	}
	out, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		panic(err)
	}
	return string(b), strings.Fields(string(out))
})

// busyboxFiles is a small system: busybox under all its names, users, groups and the usual directories.
func busyboxFiles() []entry {
	program, applets := readBusybox()
	files := []entry{
		directory("bin"), directory("etc"), directory("home"), directory("home/alice").owned(1000, 1000), directory("proc"),
		directory("sys"), directory("dev"), directory("root").mode(0o700), directory("tmp").mode(0o1777), directory("usr"),
		directory("var"), symlink("var/run", "/run"), directory("run"),
		executable("bin/busybox", program),
		file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/var:/bin/false\nalice:x:1000:1000::/home/alice:/bin/sh\n"),
		file("etc/group", "root:x:0:\nwww:x:33:\nalice:x:1000:\nstaff:x:50:alice\n"),
		file("etc/plain", "not a program\n"),
		executable("etc/noformat", "neither ELF nor script\n"),
		executable("bin/nointerpreter", "#!/no/such/interpreter\n"),
	}
	for _, a := range applets {
		if a != "busybox" {
			files = append(files, symlink("bin/"+a, "busybox"))
		}
	}
	return files
}

func busyboxImage() (v1.Image, error) { return scratch(busyboxFiles()) }

// configImage uses every field of an image's config that rl run looks at.
func configImage() (v1.Image, error) {
	img, err := scratch(busyboxFiles(), []entry{directory("work"), directory("work/here").owned(1000, 1000)})
	if err != nil {
		return nil, err
	}
	return mutate.Config(img, v1.Config{
		User: "alice", WorkingDir: "/work/here", Entrypoint: []string{"echo", "entrypoint"}, Cmd: []string{"cmd"},
		Env:    []string{"PATH=/bin", "FROM_IMAGE=yes", "SECRET*=", "HOME=/home/of/image"},
		Labels: map[string]string{"of": "image"}, StopSignal: "SIGUSR1",
	})
}

// healthImage has a HEALTHCHECK, as docker writes it, and BuildKit in the OCI's form as well.
func healthImage() (v1.Image, error) {
	img, err := busyboxImage()
	if err != nil {
		return nil, err
	}
	return mutate.Config(img, v1.Config{
		Cmd: []string{"sleep", "1000"}, Env: []string{"PATH=/bin"},
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "test", "-e", "/well"}, Interval: 50 * time.Millisecond, Timeout: time.Minute, Retries: 2},
	})
}

// volumeImage has all kinds of files where a volume is mounted, and a VOLUME of its own.
func volumeImage() (v1.Image, error) {
	img, err := scratch(busyboxFiles(), []entry{
		directory("data").mode(0o750).owned(1000, 33), file("data/file", "of the image\n").owned(1000, 1000), directory("data/sub"),
		file("data/sub/deep", "deep\n").mode(0o600).owned(33, 33), symlink("data/link", "file"), symlink("data/out", "/etc/shadow"),
		executable("data/setuid", "#!/bin/sh\n").mode(0o4755), file("data/hard1", "hard\n"), hardlink("data/hard2", "data/hard1"),
		{tar.Header{Name: "data/fifo", Typeflag: tar.TypeFifo, Mode: 0o600}, ""},
		directory("empty").owned(1000, 1000), directory("of"), directory("of/image"), file("of/image/f", "f\n").xattr("user.colour", "green"),
		symlink("jump", "../../../../../../../../../../tmp"), symlink("datalink", "data"),
	})
	if err != nil {
		return nil, err
	}
	return mutate.Config(img, v1.Config{Cmd: []string{"sh"}, Env: []string{"PATH=/bin"}, Volumes: map[string]struct{}{"/of/image": {}}})
}

// evilVolumeImage wants volumes where it has no business, and has all that a copy could fall over.
func evilVolumeImage() (v1.Image, error) {
	tree := []entry{
		directory("tree"), device("tree/disk", 8, 0), symlink("tree/up", "/../../../../../../tmp"), symlink("tree/self", "self"),
		file("tree/unreadable", "1").mode(0), file("tree/new\nline", "1"), directory("tree/closed").mode(0), symlink("way", "/../../../../tmp"),
	}
	deep := "tree"
	for range 200 {
		deep += "/d"
		tree = append(tree, directory(deep))
	}
	tree = append(tree, file(deep+"/bottom", "reached\n"))
	img, err := scratch(busyboxFiles(), tree)
	if err != nil {
		return nil, err
	}
	return mutate.Config(img, v1.Config{Cmd: []string{"sh"}, Env: []string{"PATH=/bin"}, Volumes: map[string]struct{}{
		"/tree": {}, "/": {}, "/proc/sys": {}, "/dev/shm/x": {}, "../../../tmp/rl-evil-1": {}, "/way/rl-evil-2": {}, "relative": {}}})
}

// manyImage takes a while to copy.
func manyImage() (v1.Image, error) {
	files := []entry{directory("many")}
	for i := range 5000 {
		files = append(files, file(fmt.Sprintf("many/%d", i), "x"))
	}
	return scratch(busyboxFiles(), files)
}

// workdirImage has a WORKDIR that does not exist, by way of a link that leads out.
func workdirImage() (v1.Image, error) {
	img, err := scratch(busyboxFiles(), []entry{symlink("way", "/tmp/../../../../../..")})
	if err != nil {
		return nil, err
	}
	return mutate.Config(img, v1.Config{WorkingDir: "/way/made/by/workdir", Cmd: []string{"pwd"}})
}

// layersImage is a later layer hiding, replacing and extending an earlier one in all ways of the OCI image spec, "Layers".
func layersImage() (v1.Image, error) {
	long := strings.Repeat("l", 255)
	first := []entry{
		directory("d"), file("d/deleted", "1"), file("d/kept", "1"), file("d/replaced", "1"),
		directory("opaque"), file("opaque/old", "1"), directory("gone"), file("gone/file", "1"),
		directory("becomes-file"), file("becomes-file/x", "1"), file("becomes-dir", "1"),
		file("hard1", "linked"), hardlink("hard2", "hard1"),
		executable("bin/setuid", "#!/bin/sh\n").mode(0o4755), executable("bin/setgid", "#!/bin/sh\n").mode(0o2755).owned(0, 50),
		directory("sticky").mode(0o1777), file("of-alice", "a").owned(1000, 1000), file("of-high", "h").owned(60000, 60001),
		file("attr", "x").xattr("user.colour", "green"),
		// cap_net_bind_service=ep, revision 2 of struct vfs_cap_data (linux/capability.h).
		executable("capable", "#!/bin/sh\n").xattr("security.capability",
			"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
		{tar.Header{Name: "fifo", Typeflag: tar.TypeFifo, Mode: 0o600}, ""},
		file("new\nline", "1"), file("back\\slash", "1"), file("sp ace", "1"), file("-dash", "1"), file("*", "1"),
		file("ünïcödé", "1"), file("co:lon,comma", "1"), file(long, "1"), file("unreadable", "1").mode(0),
	}
	second := []entry{
		file("d/.wh.deleted", ""), file("d/replaced", "2"), file("opaque/.wh..wh..opq", ""), file("opaque/new", "2"),
		file(".wh.gone", ""), file("becomes-file", "2"), directory("becomes-dir"), file("becomes-dir/x", "2"),
		hardlink("hard3", "hard4"), file("etc/added", "2"),
	}
	// A hard link follows its target in an archive.
	at := slices.IndexFunc(second, func(e entry) bool { return e.Name == "hard3" })
	second = slices.Insert(second, at, file("hard4", "linked too"))
	return scratch(busyboxFiles(), first, second)
}

// deepImage has 110 layers; each replaces one file and adds another.
func deepImage() (v1.Image, error) {
	layers := [][]entry{busyboxFiles()}
	for i := range 110 {
		layers = append(layers, []entry{file("top", fmt.Sprintln(i)), file(fmt.Sprintf("layer%d", i), "")})
	}
	return scratch(layers...)
}

// foreignImage is for a CPU that this machine isn't.
func foreignImage() (v1.Image, error) {
	img, err := busyboxImage()
	if err != nil {
		return nil, err
	}
	c, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	c = c.DeepCopy()
	c.Architecture = "s390x"
	return mutate.ConfigFile(img, c)
}

// badDiffImage says of its layer's content what isn't true.
func badDiffImage() (v1.Image, error) {
	img, err := busyboxImage()
	if err != nil {
		return nil, err
	}
	c, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	c = c.DeepCopy()
	c.RootFS.DiffIDs[0].Hex = strings.Repeat("0", 64)
	return mutate.ConfigFile(img, c)
}

// fifoImage has a pipe where rl looks for users: whoever opens it waits for ever.
func fifoImage() (v1.Image, error) {
	pipe := func(name string) entry { return entry{tar.Header{Name: name, Typeflag: tar.TypeFifo, Mode: 0o644}, ""} }
	return scratch(withoutPasswd(busyboxFiles()), []entry{directory("etc"), pipe("etc/passwd"), pipe("etc/group")})
}

func dockerArchive(path, image string, build builder) error {
	img, err := build()
	if err != nil {
		return err
	}
	tag, err := name.NewTag("localhost/" + image + ":latest")
	if err != nil {
		return err
	}
	return tarball.WriteToFile(path, tag, img)
}

// truncated is an archive that a download lost the second half of.
func (f *fixtures) truncated(path string) error {
	whole, err := f.get("busybox")
	if err != nil {
		return err
	}
	b, err := os.ReadFile(whole)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b[:len(b)/2], 0o600)
}

// corrupt is an OCI layout with one byte of its largest blob flipped.
func (f *fixtures) corrupt(dir string) error {
	if err := f.write(dir, "corrupt", busyboxImage); err != nil {
		return err
	}
	blob, err := largest(filepath.Join(dir, "blobs/sha256"))
	if err != nil {
		return err
	}
	b, err := os.ReadFile(blob)
	if err != nil {
		return err
	}
	b[len(b)/2] ^= 1
	return os.WriteFile(blob, b, 0o600)
}

func largest(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	best, size := "", int64(-1)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Size() > size {
			best, size = filepath.Join(dir, e.Name()), info.Size()
		}
	}
	if best == "" {
		return "", errors.New("no blob in " + dir)
	}
	return best, nil
}
