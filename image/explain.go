package image

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.podman.io/image/v5/docker"
	"go.podman.io/image/v5/docker/reference"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/hint"
)

func badName(name string, err error) error {
	return hint.Errorf("[REGISTRY/]NAME[:TAG|@DIGEST], all but the tag in lower case", "%q is not the name of an image: %w", name, err)
}

// explain adds what to do to failures of the disk and of the store.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), strings.Contains(err.Error(), "no space left"):
		return hint.With(err, "the disk or your quota is full: df -h; rl rmi IMAGE frees space")
	case errors.Is(err, unix.EROFS), errors.Is(err, unix.EACCES):
		return hint.With(err, "the store must be writable: export XDG_DATA_HOME=/some/writable/dir")
	case strings.Contains(err.Error(), "lchown"), strings.Contains(err.Error(), "insufficient UIDs or GIDs"):
		return hint.With(err, "the image has files of ids that you don't have: rl doctor shows your ranges and how to get more")
	case len(hint.Of(err)) == 0 && damaged(err.Error()):
		return hint.With(err, "it is cut short, damaged or not what it says: get it again from its source")
	}
	return err
}

// damaged recognises what the library and the decompressors say of bytes that are not those that were promised.
func damaged(text string) bool {
	return slices.ContainsFunc([]string{"unexpected EOF", "invalid checksum", "does not match", "digest did not match", "corrupt"},
		func(part string) bool { return strings.Contains(text, part) })
}

// explainRegistry adds what to type about a registry's failure. The texts are those of the library and of net/http, which
// have no types for them.
func explainRegistry(err error, name reference.Named) error {
	host := reference.Domain(name)
	if err = short(err); err == nil {
		return nil
	}
	text := err.Error()
	has := func(part string) bool { return strings.Contains(text, part) }
	switch {
	case has("server gave HTTP response to HTTPS client"):
		return hint.With(err, host+" speaks plain http. If you trust the way to it: rl pull --tls-verify=false "+name.String()+", or for good in ~/.config/containers/registries.conf:",
			fmt.Sprintf("[[registry]] location = %q insecure = true   (three lines)", host))
	case has("x509:"), has("certificate"):
		return hint.With(err, "its CA's certificate belongs to ~/.config/containers/certs.d/"+host+"/ca.crt; rl pull --tls-verify=false "+name.String()+" goes without")
	case has("getting username and password"):
		return hint.With(err, "ls -l shows whose the file is; --authfile FILE names another")
	case refused(text):
		return hint.With(err, "the image is private or doesn't exist. Credentials are read from ~/.config/containers/auth.json and ~/.docker/config.json: podman login "+host+" writes them")
	case has("manifest unknown"), has("name unknown"), has("not found"), has("repository name not known"):
		return hint.With(err, "is it spelled right? skopeo list-tags docker://"+name.Name()+" lists its tags")
	case has("no such host"), has("connection refused"), has("no route to host"), has("network is unreachable"), has("no answer for"), has("i/o timeout"):
		return hint.With(err, "is this machine online, and "+host+" the registry's name? A proxy is taken from https_proxy")
	case has("unexpected HTTP status: 5"), strings.HasSuffix(text, ": EOF"), has("connection reset"):
		return hint.With(err, "the failure is "+host+"'s own, or of a proxy on the way: try again later")
	case has("no image found in"), has("no matching"):
		return hint.With(err, "the registry has the image for other platforms only: --platform linux/amd64, for example, takes one")
	}
	return explain(err)
}

// short takes away what the library repeats: its own words around the cause.
func short(err error) error {
	var mismatch docker.ErrUnauthorizedForCredentials
	if errors.As(err, &mismatch) {
		return fmt.Errorf("unauthorized: %w", err)
	}
	return err
}
