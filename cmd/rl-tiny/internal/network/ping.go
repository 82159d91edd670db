package network

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"github.com/rl-containers/rl/cmd/rl-tiny/internal/tool"
)

type pinger struct {
	c         *tool.Call
	conn      *icmp.PacketConn
	to        net.IP
	wait      time.Duration
	v6        bool
	sent, got int
	times     []time.Duration
}

func ping(c *tool.Call) error {
	o, args, err := c.Options("46c:W:i:qn")
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return tool.Usage("ping [-46q] [-c COUNT] [-W SECONDS] [-i SECONDS] HOST")
	}
	count, err := o.Int('c', 1<<30)
	if err != nil {
		return err
	}
	wait, interval := 10.0, 1.0
	for letter, to := range map[byte]*float64{'W': &wait, 'i': &interval} {
		if s := o.Get(letter); s != "" {
			if *to, err = strconv.ParseFloat(s, 64); err != nil {
				return tool.Usage("-%c: %q is not a number", letter, s)
			}
		}
	}
	network := "ip"
	if l := o.Last("46"); l != 0 {
		network += string(l)
	}
	addr, err := net.ResolveIPAddr(network, args[0])
	if err != nil {
		return &tool.Exit{Code: 2, Err: err}
	}
	p := &pinger{c: c, to: addr.IP, wait: time.Duration(wait * float64(time.Second)), v6: addr.IP.To4() == nil}
	if err := p.listen(); err != nil {
		return &tool.Exit{Code: 2, Err: err}
	}
	defer p.conn.Close()
	c.Printf("PING %s (%s): 56 data bytes\n", args[0], p.to)
	for i := range count {
		if i > 0 {
			time.Sleep(time.Duration(interval * float64(time.Second)))
		}
		if err := p.once(i, o.Has('q')); err != nil {
			return err
		}
		c.Out.Flush()
	}
	return p.summary(args[0])
}

// listen opens an ICMP datagram socket: it needs no capability where net.ipv4.ping_group_range holds the group (icmp(7)).
func (p *pinger) listen() (err error) {
	network, address := "udp4", "0.0.0.0"
	if p.v6 {
		network, address = "udp6", "::"
	}
	if p.conn, err = icmp.ListenPacket(network, address); err == nil {
		return nil
	}
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return errors.New("not allowed here: the group is not in the range of sysctl net.ipv4.ping_group_range")
	}
	return err
}

func (p *pinger) once(seq int, quiet bool) error {
	request := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: os.Getpid() & 0xffff, Seq: seq & 0xffff, Data: make([]byte, 56)}}
	if p.v6 {
		request.Type = ipv6.ICMPTypeEchoRequest
	}
	b, err := request.Marshal(nil)
	if err != nil {
		return err
	}
	start := time.Now()
	p.sent++
	if _, err := p.conn.WriteTo(b, &net.UDPAddr{IP: p.to}); err != nil {
		p.c.Warn(fmt.Errorf("send: %w", err))
		return nil
	}
	p.conn.SetReadDeadline(start.Add(p.wait))
	buf := make([]byte, 1500)
	for {
		n, from, err := p.conn.ReadFrom(buf)
		if err != nil {
			return nil // no answer in time
		}
		protocol := 1
		if p.v6 {
			protocol = 58
		}
		reply, err := icmp.ParseMessage(protocol, buf[:n])
		if err != nil {
			continue
		}
		echo, ok := reply.Body.(*icmp.Echo)
		if !ok || reply.Type == request.Type || echo.Seq != seq&0xffff {
			continue
		}
		took := time.Since(start)
		p.got++
		p.times = append(p.times, took)
		if !quiet {
			p.c.Printf("%d bytes from %s: seq=%d time=%.3f ms\n", n, from.(*net.UDPAddr).IP, seq, took.Seconds()*1000)
		}
		return nil
	}
}

func (p *pinger) summary(host string) error {
	p.c.Printf("\n--- %s ping statistics ---\n%d packets transmitted, %d packets received, %d%% packet loss\n", host, p.sent, p.got, 100*(p.sent-p.got)/max(1, p.sent))
	if p.got == 0 {
		return &tool.Exit{Code: 1}
	}
	low, high, sum := p.times[0], p.times[0], time.Duration(0)
	for _, t := range p.times {
		low, high, sum = min(low, t), max(high, t), sum+t
	}
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	p.c.Printf("round-trip min/avg/max = %.3f/%.3f/%.3f ms\n", ms(low), ms(sum)/float64(p.got), ms(high))
	p.c.Code = 0
	return nil
}
