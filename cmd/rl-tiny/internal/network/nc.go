package network

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

func nc(c *tool.Call) error {
	o, args, err := c.Options("lp:uvzw:k46s:N", "listen=l")
	if err != nil {
		return err
	}
	network := "tcp"
	if o.Has('u') {
		network = "udp"
	}
	if l := o.Last("46"); l != 0 {
		network += string(l)
	}
	seconds, err := o.Int('w', 0)
	if err != nil {
		return err
	}
	limit := time.Duration(seconds) * time.Second
	if o.Has('l') {
		return ncListen(c, o, network, args)
	}
	if len(args) != 2 {
		return tool.Usage("nc [-uvz] [-w SECONDS] HOST PORT, or nc -l [-k] -p PORT")
	}
	conn, err := net.DialTimeout(network, net.JoinHostPort(args[0], args[1]), limit)
	if err != nil {
		return err
	}
	defer conn.Close()
	if o.Has('v') {
		fmt.Fprintf(os.Stderr, "%s open\n", conn.RemoteAddr())
	}
	if o.Has('z') {
		return nil
	}
	if o.Has('w') {
		conn.SetReadDeadline(time.Now().Add(limit))
	}
	return exchange(conn)
}

func ncListen(c *tool.Call, o *tool.Options, network string, args []string) error {
	host, port := o.Get('s'), o.Get('p')
	switch {
	case len(args) == 1 && port == "":
		port = args[0]
	case len(args) == 2 && port == "":
		host, port = args[0], args[1]
	}
	if port == "" {
		return tool.Usage("nc -l [-k] -p PORT")
	}
	if strings.HasPrefix(network, "udp") {
		return ncPackets(network, net.JoinHostPort(host, port))
	}
	listener, err := net.Listen(network, net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		if o.Has('v') {
			fmt.Fprintf(os.Stderr, "connect from %s\n", conn.RemoteAddr())
		}
		if !o.Has('k') {
			listener.Close()
			return exchange(conn)
		}
		if err := exchange(conn); err != nil {
			c.Warn(err)
		}
		conn.Close()
	}
}

// ncPackets talks with the first who sends.
func ncPackets(network, address string) error {
	conn, err := net.ListenPacket(network, address)
	if err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	var peer net.Addr
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		if peer == nil {
			peer = from
			go io.Copy(packetWriter{conn, peer}, os.Stdin)
		}
		if from.String() != peer.String() {
			continue
		}
		if _, err := os.Stdout.Write(buf[:n]); err != nil {
			return err
		}
	}
}

type packetWriter struct {
	conn net.PacketConn
	to   net.Addr
}

func (p packetWriter) Write(b []byte) (int, error) { return p.conn.WriteTo(b, p.to) }

// exchange copies both ways until the other side has ended; the end of the input is passed on.
func exchange(conn net.Conn) error {
	go func() {
		io.Copy(conn, os.Stdin)
		if half, ok := conn.(*net.TCPConn); ok {
			half.CloseWrite()
		}
	}()
	_, err := io.Copy(os.Stdout, conn)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		err = nil
	}
	return err
}

func nslookup(c *tool.Call) error {
	_, args, err := c.Options("")
	if err != nil {
		return err
	}
	if len(args) < 1 || len(args) > 2 {
		return tool.Usage("nslookup NAME [SERVER]")
	}
	resolver := &net.Resolver{PreferGo: true}
	if len(args) == 2 {
		resolver.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(args[1], "53"))
		}
		c.Printf("Server:\t\t%s\n\n", args[1])
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if net.ParseIP(args[0]) != nil {
		names, err := resolver.LookupAddr(ctx, args[0])
		for _, n := range names {
			c.Printf("%s\tname = %s\n", args[0], n)
		}
		return err
	}
	found, err := resolver.LookupHost(ctx, args[0])
	for _, a := range found {
		c.Printf("Name:\t%s\nAddress: %s\n", args[0], a)
	}
	return err
}

func getent(c *tool.Call) error {
	if len(c.Args) < 1 {
		return tool.Usage("getent {hosts|ahosts|passwd|group} [KEY...]")
	}
	kind, keys := c.Args[0], c.Args[1:]
	switch kind {
	case "hosts", "ahosts":
		for _, k := range keys {
			found, err := net.DefaultResolver.LookupHost(context.Background(), k)
			if err != nil {
				c.Code = 2
			}
			for _, a := range found {
				c.Printf("%-15s %s\n", a, k)
			}
		}
		return nil
	case "passwd", "group":
		return getentFile(c, "/etc/"+kind, keys)
	}
	return tool.Usage("unknown database %q", kind)
}

// getentFile finds lines by name or number.
func getentFile(c *tool.Call, path string, keys []string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		c.Printf("%s", b)
	}
	for _, k := range keys {
		found := false
		for line := range strings.Lines(string(b)) {
			if f := strings.Split(line, ":"); !found && len(f) > 2 && (f[0] == k || f[2] == k) {
				c.Printf("%s", line)
				found = true
			}
		}
		if !found {
			c.Code = 2
		}
	}
	return nil
}
