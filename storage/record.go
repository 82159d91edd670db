package storage

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNoRecord says that rl-image is to look: the image was never looked up by this name, or the store has changed since.
var ErrNoRecord = errors.New("no record of the image")

// stamp changes with every change of the store's list of images, by whomever: images.json is replaced by rename(2).
type stamp struct {
	Dev, Ino uint64
	Size     int64
	Mtim     int64 // nanoseconds
}

// imageRecord is the file in DataDir/images for one name as it was typed, and one platform.
type imageRecord struct {
	Name, Platform string
	Stamp          stamp
	Image          Image
}

// Image returns the record of the image called name, as typed, for platform ("" is this machine's). It opens one small file
// and asks for the state of another; the store's own files, which grow with it, are not read. ErrNoRecord: ask rl-image.
func (s *Store) Image(name, platform string) (*Image, error) {
	b, err := os.ReadFile(s.recordFile(name, platform))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoRecord, err)
	}
	r := new(imageRecord)
	if err := json.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoRecord, err)
	}
	now, err := s.stamp()
	if err != nil || r.Stamp != now || r.Name != name || r.Platform != platform {
		return nil, ErrNoRecord
	}
	return &r.Image, nil
}

// WriteRecord makes what Image finds. look is called between two looks at the store's stamp, so that no record tells of a
// store that changed meanwhile. Records that the stamp has made worthless are removed.
func (s *Store) WriteRecord(name, platform string, look func() (*Image, error)) (*Image, error) {
	before, err := s.stamp()
	if err != nil {
		return nil, fmt.Errorf("look at image store: %w", err)
	}
	img, err := look()
	if err != nil {
		return nil, err
	}
	after, err := s.stamp()
	if err != nil {
		return nil, fmt.Errorf("look at image store: %w", err)
	}
	if before != after {
		return img, nil // written by the next who asks
	}
	b, err := json.Marshal(imageRecord{Name: name, Platform: platform, Stamp: after, Image: *img})
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.DataDir, "images")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, explainDisk("write record of image", err)
	}
	s.sweep(dir, after)
	return img, replaceFile(s.recordFile(name, platform), b)
}

// staged begins the names of files that are being written.
const staged = "new-"

// replaceFile writes a file whole or not at all. Its content is worthless after a crash of the machine at worst: no fsync.
func replaceFile(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), staged)
	if err != nil {
		return explainDisk("write record of image", err)
	}
	_, err = tmp.Write(b)
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return explainDisk("write record of image", err)
	}
	return nil
}

// sweep removes records of another stamp, and what a killed writer left.
func (s *Store) sweep(dir string, now stamp) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if info, err := e.Info(); strings.HasPrefix(e.Name(), staged) && (err != nil || time.Since(info.ModTime()) < time.Hour) {
			continue // perhaps of a writer that lives
		}
		b, err := os.ReadFile(path)
		var r imageRecord
		if err != nil || json.Unmarshal(b, &r) != nil || r.Stamp != now {
			os.Remove(path)
		}
	}
}

func (s *Store) recordFile(name, platform string) string {
	h := fnv.New128a()
	h.Write([]byte("4\x00" + name + "\x00" + platform)) // 4: with the image's volumes, health check and ports
	return filepath.Join(s.DataDir, "images", fmt.Sprintf("%x", h.Sum(nil)))
}

func (s *Store) stamp() (stamp, error) {
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(s.GraphRoot, "overlay-images/images.json"), &st); err != nil {
		return stamp{}, err
	}
	return stamp{Dev: st.Dev, Ino: st.Ino, Size: st.Size, Mtim: st.Mtim.Nano()}, nil
}
