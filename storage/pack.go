package storage

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// packer writes the fields of a state one behind the other, or reads them in the same order: which of the two, is all that differs,
// so that what is written and what is read can't be two things. Numbers are varints; a text has its length before it; lists and maps
// their length plus one, 0 for nil.
//
// The index keeps states so, and not as the JSON that they are in their files, since to read that is most of the work of a list.
type packer struct {
	out  []byte
	from string // what is left to be read
	read bool
	bad  bool // it ended before the state did
}

// packState is the record and the life of s.
func packState(s *State) []byte {
	var p packer
	p.state(s)
	return p.out
}

// unpackState sets them; false: text holds something else. What it sets are pieces of text.
func unpackState(text string, s *State) bool {
	p := packer{from: text, read: true}
	p.state(s)
	return !p.bad && p.from == ""
}

func (p *packer) state(s *State) {
	p.record(&s.Record)
	p.life(&s.Life)
}

func (p *packer) record(r *Record) {
	for _, text := range [...]*string{&r.ID, &r.Name, &r.Image, &r.ImageID, &r.StopSignal, &r.Restart, &r.Network} {
		p.text(text)
	}
	for _, list := range [...]*[]string{&r.Command, &r.Volumes, &r.Anonymous} {
		p.list(list)
	}
	p.time(&r.Created)
	p.pairs(&r.Labels)
	p.boolean(&r.Remove)
	p.number(&r.StopTimeout)
	p.boolean(&r.Healthcheck)
}

func (p *packer) life(l *Life) {
	p.number(&l.Pid)
	p.unsigned(&l.Start)
	p.text(&l.BootID)
	p.time(&l.Started)
	p.boolean(&l.Detached)
	p.list(&l.Ports)
	p.text(&l.Cgroup)
	p.number(&l.Restarts)
	p.boolean(&l.Restarting)
	p.time(&l.Finished)
	p.number(&l.ExitCode)
	p.boolean(&l.OOMKilled)
	p.text(&l.Error)
}

// unsigned is what all else is made of.
func (p *packer) unsigned(n *uint64) {
	if !p.read {
		p.out = binary.AppendUvarint(p.out, *n)
		return
	}
	*n = 0
	for i := 0; i < len(p.from) && i < binary.MaxVarintLen64; i++ {
		c := p.from[i]
		if *n |= uint64(c&0x7f) << (7 * i); c < 0x80 {
			p.from = p.from[i+1:]
			return
		}
	}
	p.bad, p.from = true, ""
}

func (p *packer) number(n *int) {
	u := uint64(*n)<<1 ^ uint64(*n>>63) // small if n is, of either sign
	p.unsigned(&u)
	*n = int(u>>1) ^ -int(u&1)
}

func (p *packer) boolean(b *bool) {
	var n uint64
	if *b {
		n = 1
	}
	p.unsigned(&n)
	*b = n == 1
}

func (p *packer) text(s *string) {
	n := uint64(len(*s))
	p.unsigned(&n)
	switch {
	case !p.read:
		p.out = append(p.out, *s...)
	case n > uint64(len(p.from)):
		p.bad, p.from, *s = true, "", ""
	default:
		*s, p.from = p.from[:n], p.from[n:]
	}
}

// time keeps the offset from UTC, in the form of time.Time's own (MarshalBinary). The zero time is an empty text.
func (p *packer) time(t *time.Time) {
	var text string
	if !p.read && !t.IsZero() {
		b, err := t.MarshalBinary()
		p.bad = p.bad || err != nil
		text = string(b)
	}
	if p.text(&text); !p.read {
		return
	}
	*t = time.Time{}
	if text != "" && t.UnmarshalBinary([]byte(text)) != nil {
		p.bad = true
	}
}

// length is that of a list or a map, -1 for nil.
func (p *packer) length(n int, isNil bool) int {
	u := uint64(n + 1)
	if isNil {
		u = 0
	}
	p.unsigned(&u)
	if p.read && u > uint64(len(p.from))+1 { // each entry has a byte at least
		p.bad, p.from, u = true, "", 0
	}
	return int(u) - 1
}

func (p *packer) list(all *[]string) {
	n := p.length(len(*all), *all == nil)
	if p.read {
		*all = nil
		if n >= 0 {
			*all = make([]string, n)
		}
	}
	for i := range *all {
		p.text(&(*all)[i])
	}
}

func (p *packer) pairs(all *map[string]string) {
	n := p.length(len(*all), *all == nil)
	if !p.read {
		for _, key := range slices.Sorted(maps.Keys(*all)) {
			value := (*all)[key]
			p.text(&key)
			p.text(&value)
		}
		return
	}
	*all = nil
	if n >= 0 {
		*all = make(map[string]string, n)
	}
	for range n {
		var key, value string
		p.text(&key)
		p.text(&value)
		(*all)[key] = value
	}
}
