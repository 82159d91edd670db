package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"testing"
	"testing/iotest"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/rl-containers/rl/spec"
	"github.com/rl-containers/rl/storage"
)

// TestEnding: an archive that was cut, also between two entries, is not whole.
func TestEnding(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: "f", Size: 700, Mode: 0o644})
	w.Write(bytes.Repeat([]byte("x"), 700))
	w.Flush()
	cut := b.Len()
	w.Close()
	for _, c := range []struct {
		n     int
		whole bool
	}{{0, false}, {512, false}, {cut, false}, {cut + 512, false}, {b.Len(), true}} {
		for _, wrap := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
			e := &ending{Reader: wrap(bytes.NewReader(b.Bytes()[:c.n]))}
			io.Copy(io.Discard, e)
			if e.whole() != c.whole {
				t.Errorf("%d of %d bytes: whole is %v", c.n, b.Len(), e.whole())
			}
		}
	}
}

// TestCommitConfig: what the flags and -c say wins, what rl doesn't know stays.
func TestCommitConfig(t *testing.T) {
	config := &commitConfig{}
	err := config.read([]byte(`{"architecture":"amd64","os":"linux","container":"abc","os.features":["x"],"rootfs":{"type":"layers","diff_ids":[]},
		"config":{"Env":["A=1","PATH=/bin"],"Cmd":["old"],"Entrypoint":["e"],"Healthcheck":{"Test":["CMD","true"]},"Labels":{"l":"1"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	c := &storage.Commit{Changed: spec.ImageConfig{Env: []string{"A=2", "B=3"}, Entrypoint: []string{"f"}, User: "7", Labels: map[string]string{"m": "2"}},
		ResetCmd: true, Ports: []string{"80/tcp"}, Changes: []string{"ENV B=4", "WORKDIR /w"}}
	if err := config.change(c); err != nil {
		t.Fatal(err)
	}
	b, err := config.marshal()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		v1.Image
		Container string `json:"container"`
		Config    struct {
			v1.ImageConfig
			Healthcheck struct{ Test []string }
		} `json:"config"`
		Features []string `json:"os.features"`
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(got.Config)
	want := `{"User":"7","ExposedPorts":{"80/tcp":{}},"Env":["A=2","PATH=/bin","B=4"],"Entrypoint":["f"],"WorkingDir":"/w","Labels":{"l":"1","m":"2"},"Healthcheck":{"Test":["CMD","true"]}}`
	if string(text) != want || got.Container != "" || len(got.Features) != 1 {
		t.Errorf("got  %s\nwant %s\nwhole: %s", text, want, b)
	}
}
