package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"go.podman.io/image/v5/image"
	"go.podman.io/image/v5/signature"
	"go.podman.io/image/v5/types"

	"github.com/rl-containers/rl/hint"
)

const systemPolicy = "/etc/containers/policy.json"

// policy is containers-policy.json(5): the user's file, else the machine's, else everything is accepted, since a machine
// without any has asked for nothing.
func policy(sys *types.SystemContext) (*signature.PolicyContext, error) {
	p, err := signature.DefaultPolicy(sys)
	if errors.Is(err, fs.ErrNotExist) {
		p, err = &signature.Policy{Default: signature.PolicyRequirements{signature.NewPRInsecureAcceptAnything()}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read signature policy: %w", err)
	}
	return signature.NewPolicyContext(p)
}

// allowed asks the machine's policy, too: the user's file may ask for more than it, not for less.
func allowed(ctx context.Context, sys *types.SystemContext, ref types.ImageReference) error {
	if acceptsAll() {
		return nil
	}
	p, err := signature.NewPolicyFromFile(systemPolicy)
	if err != nil {
		return fmt.Errorf("read signature policy: %w", err)
	}
	pc, err := signature.NewPolicyContext(p)
	if err != nil {
		return err
	}
	defer pc.Destroy()
	src, err := ref.NewImageSource(ctx, sys)
	if err != nil {
		return err
	}
	defer src.Close()
	ok, err := pc.IsRunningImageAllowed(ctx, image.UnparsedInstance(src, nil))
	if !ok {
		return hint.Errorf(systemPolicy+" is the administrator's", "the signature policy of this machine refuses the image: %w", err)
	}
	return nil
}

// acceptsAll tells that the machine's policy can't refuse anything, as distributions ship it: no second look at the image is
// needed.
func acceptsAll() bool {
	b, err := os.ReadFile(systemPolicy)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	type requirement struct{ Type string }
	var p struct {
		Default    []requirement
		Transports map[string]map[string][]requirement
	}
	if json.Unmarshal(b, &p) != nil {
		return false
	}
	all := p.Default
	for _, scopes := range p.Transports {
		for _, more := range scopes {
			all = append(all, more...)
		}
	}
	return !slices.ContainsFunc(all, func(r requirement) bool { return r.Type != "insecureAcceptAnything" })
}
