package network

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

func wget(c *tool.Call) error {
	o, args, err := c.Options("O:qT:P:SU:", "output-document=O", "quiet=q", "timeout=T", "directory-prefix=P", "server-response=S", "user-agent=U")
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return tool.Usage("wget [-q] [-O FILE] [-P DIRECTORY] [-T SECONDS] URL...")
	}
	seconds, err := o.Int('T', 0)
	if err != nil {
		return err
	}
	// A stalled server must not hold forever: each phase has its limit, the whole has one with -T only.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = 60 * time.Second
	client := &http.Client{Transport: transport, Timeout: time.Duration(seconds) * time.Second}
	for _, address := range args {
		if err := download(c, client, o, address); err != nil {
			c.Warn(err)
		}
	}
	return nil
}

func download(c *tool.Call, client *http.Client, o *tool.Options, address string) error {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	agent := "rl-tiny"
	if o.Has('U') {
		agent = o.Get('U')
	}
	request.Header.Set("User-Agent", agent)
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if o.Has('S') {
		fmt.Fprintf(os.Stderr, "  %s %s\n", answer.Proto, answer.Status)
		answer.Header.Write(os.Stderr)
	}
	if answer.StatusCode != http.StatusOK {
		return &tool.Exit{Code: 1, Err: fmt.Errorf("%s: server returned error: %s", address, answer.Status)}
	}
	name := o.Get('O')
	if name == "" {
		if name = path.Base(u.Path); name == "/" || name == "." || name == ".." {
			name = "index.html"
		}
		name = path.Join(o.Get('P'), name)
	}
	n, err := save(c, name, answer.Body)
	if err == nil && !o.Has('q') {
		fmt.Fprintf(os.Stderr, "'%s' saved, %d bytes\n", name, n)
	}
	return err
}

func save(c *tool.Call, name string, r io.Reader) (int64, error) {
	if name == "-" {
		return io.Copy(c.Out, r)
	}
	f, err := os.Create(name)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, r)
	if close := f.Close(); err == nil {
		err = close
	}
	return n, err
}

// httpd serves files and writes a line of the common log format for each request to the standard output.
func httpd(c *tool.Call) error {
	o, args, err := c.Options("fp:h:v", "port=p", "home=h")
	if err != nil {
		return err
	}
	if len(args) > 0 {
		return tool.Usage("httpd [-f] [-p [ADDRESS:]PORT] [-h DIRECTORY]")
	}
	address, dir := "80", "."
	if o.Has('p') {
		address = o.Get('p')
	}
	if o.Has('h') {
		dir = o.Get('h')
	}
	if !strings.Contains(address, ":") {
		address = ":" + address
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{ReadHeaderTimeout: 30 * time.Second, IdleTimeout: time.Minute, Handler: &logged{http.FileServer(http.Dir(dir))}}
	return server.Serve(listener)
}

type logged struct{ next http.Handler }

func (l *logged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &counted{ResponseWriter: w, status: http.StatusOK}
	l.next.ServeHTTP(answer, r)
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	fmt.Fprintf(os.Stdout, "%s - - [%s] %q %d %d\n", host, time.Now().Format("02/Jan/2006:15:04:05 -0700"), r.Method+" "+r.RequestURI+" "+r.Proto, answer.status, answer.size)
}

type counted struct {
	http.ResponseWriter
	status int
	size   int64
}

func (c *counted) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.size += int64(n)
	return n, err
}
