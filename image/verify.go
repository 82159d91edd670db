package image

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	istorage "go.podman.io/image/v5/storage"
	cstorage "go.podman.io/storage"
)

// verify compares what was unpacked with what the config says was to be (image-spec config.md, "Layer DiffID"): a config
// that lies about its layers is another image than the one that somebody signed or looked at.
func (s *Store) verify(ctx context.Context, img *cstorage.Image) error {
	ref, err := istorage.Transport.NewStoreReference(s.store, nil, img.ID)
	if err != nil {
		return err
	}
	src, err := ref.NewImage(ctx, nil)
	if err != nil {
		return err
	}
	defer src.Close()
	config, err := src.OCIConfig(ctx)
	if err != nil {
		return fmt.Errorf("read config of image: %w", err)
	}
	want := config.RootFS.DiffIDs
	for id := img.TopLayer; id != ""; {
		layer, err := s.store.Layer(id)
		if err != nil {
			return err
		}
		if len(want) == 0 {
			return fmt.Errorf("the config names fewer layers than the image has")
		}
		last := want[len(want)-1]
		want = want[:len(want)-1]
		if layer.UncompressedDigest != "" && layer.UncompressedDigest != last {
			return fmt.Errorf("diff id of layer %d: the config says %s, the content's digest is %s", len(want)+1, last, layer.UncompressedDigest)
		}
		id = layer.Parent
	}
	return missingLayers(want)
}

// emptyLayer is the digest of a tar archive without entries, which need not be stored.
const emptyLayer = digest.Digest("sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef")

func missingLayers(rest []digest.Digest) error {
	for _, d := range rest {
		if d != emptyLayer {
			return fmt.Errorf("layer with diff id %s is missing", d)
		}
	}
	return nil
}
