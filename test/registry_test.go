package test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// registries are the loopback registries of a run: one with the fixture images, and one for each flaw that a script asks for.
type registries struct {
	fixtures *fixtures

	mu      sync.Mutex
	servers map[string]*httptest.Server
}

// start returns host:port of the registry with a flaw: "" none; "tls" https by a certificate that nobody knows; "truncate" ends
// each blob early; "flip" changes a byte of each blob; "down" refuses connections; "error" answers 500; "denied" asks for a password, "login" for user's, which is secret.
func (r *registries) start(flaw string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.servers[flaw]; s != nil {
		return s.Listener.Addr().String(), nil
	}
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	plain := httptest.NewServer(handler)
	if err := r.fill(plain.Listener.Addr().String()); err != nil {
		return "", err
	}
	server := plain
	switch flaw {
	case "":
	case "tls":
		server = httptest.NewUnstartedServer(handler)
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.StartTLS()
	case "down":
		plain.Close()
		return plain.Listener.Addr().String(), nil
	case "truncate", "flip", "error", "denied", "login":
		server = httptest.NewServer(flawed(handler, flaw))
	default:
		return "", fmt.Errorf("no flaw -%s", flaw)
	}
	if r.servers == nil {
		r.servers = map[string]*httptest.Server{}
	}
	r.servers[flaw] = server
	return server.Listener.Addr().String(), nil
}

func (r *registries) fill(address string) error {
	for _, fixture := range []string{"busybox", "config"} {
		img, err := images[fixture]()
		if err != nil {
			return err
		}
		if err := push(address, "test/"+fixture+":latest", img); err != nil {
			return err
		}
	}
	return nil
}

func push(address, repository string, img v1.Image) error {
	ref, err := name.ParseReference(address+"/"+repository, name.Insecure)
	if err != nil {
		return err
	}
	return remote.Write(ref, img)
}

func (r *registries) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.servers {
		s.CloseClientConnections()
		s.Close()
	}
}

func flawed(next http.Handler, flaw string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		blob := strings.Contains(req.URL.Path, "/blobs/") && req.Method == http.MethodGet
		switch {
		case flaw == "error":
			http.Error(w, `{"errors":[{"code":"UNKNOWN","message":"\u001b[2Jthe disk of the registry is full"}]}`, http.StatusInternalServerError)
		case flaw == "denied", flaw == "login" && !loggedIn(req):
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`, http.StatusUnauthorized)
		case blob && flaw != "login":
			spoil(w, req, next, flaw)
		default:
			next.ServeHTTP(w, req)
		}
	})
}

func loggedIn(req *http.Request) bool {
	user, password, ok := req.BasicAuth()
	return ok && user == "user" && password == "secret"
}

// spoil sends a blob with its length but only half of it, or with one byte changed.
func spoil(w http.ResponseWriter, req *http.Request, next http.Handler, flaw string) {
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, req)
	body := answer.Body.Bytes()
	for k, v := range answer.Header() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(answer.Code)
	if len(body) == 0 {
		return
	}
	if flaw == "truncate" {
		w.Write(body[:len(body)/2])
		panic(http.ErrAbortHandler)
	}
	body[len(body)/2] ^= 1
	w.Write(body)
}
