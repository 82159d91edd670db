package container

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/moby/sys/user"

	"github.com/rl-containers/rl/idmap"
)

// callerInside is "uid:gid" of the caller as the container counts.
func callerInside(ids idmap.Map) string {
	uid, gid := callerIDs(ids)
	return strconv.Itoa(uid) + ":" + strconv.Itoa(gid)
}

func callerIDs(ids idmap.Map) (uid, gid int) {
	u, _ := ids.ContainerUID(uint32(os.Geteuid()))
	g, _ := ids.ContainerGID(uint32(os.Getegid()))
	return int(u), int(g)
}

// addCaller gives the caller a line in the container's passwd and group, for images that have none for its number.
func (r *run) addCaller() {
	mode, _, _ := strings.Cut(r.Options.Userns, ":")
	if mode != "keep-id" {
		return
	}
	name := "user"
	if u, err := user.LookupUid(os.Geteuid()); err == nil {
		name = u.Name
	}
	uid, gid := callerIDs(r.ids)
	home := r.spec.Spec.Process.Cwd
	p := &r.plan.Process
	p.Passwd = fmt.Sprintf("%s:x:%d:%d:%s:%s:/bin/sh", name, uid, gid, name, home)
	p.Group = fmt.Sprintf("%s:x:%d:", name, gid)
}
