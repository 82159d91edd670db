package idmap

import (
	"errors"

	"github.com/rl-containers/rl/hint"
)

// Given is the rung for a mapping that somebody else decided (linux.uidMappings of a bundle): the kernel says whether it may be.
func Given(uids, gids []Range) (Map, error) { return Source{}.given(uids, gids) }

func (s Source) given(uids, gids []Range) (Map, error) {
	if len(uids) == 0 || len(gids) == 0 {
		return Map{}, errors.New("a user namespace needs uidMappings and gidMappings")
	}
	m := Map{UIDs: uids, GIDs: gids, Rung: Direct}
	c := s.caller()
	own := func(rs []Range, id uint32) bool { return len(rs) == 1 && rs[0].Size == 1 && rs[0].Host == id }
	switch {
	case c.Caps&wantCaps == wantCaps:
		return m, nil
	case own(uids, c.UID) && own(gids, c.GID):
		m.Rung = Single
		return m, nil
	}
	h := s.helpers(c)
	if h.Why != "" {
		return Map{}, hint.Errorf(h.Fix, "map ids (%s): %s", m.Lines(), h.Why)
	}
	m.Rung, m.newuidmap, m.newgidmap = Subid, h.UID, h.GID
	return m, nil
}
