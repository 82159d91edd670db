package container

import (
	"maps"
	"path/filepath"
	"time"

	"github.com/rl-containers/rl/events"
	"github.com/rl-containers/rl/storage"
)

// eventOf is something that happens to a container now.
func eventOf(r *storage.Record, status string) events.Event {
	return events.Event{Type: events.Container, Status: status, ID: r.ID, Name: r.Name, Image: r.Image, Attributes: r.Labels, Time: time.Now()}
}

// endOf is the end of a process of a container.
func endOf(r *storage.Record, status string, code int) events.Event {
	e := eventOf(r, status)
	e.ContainerExitCode = &code
	return e
}

// deathOf is the end of a container, and before it that the kernel killed what it could not give memory to.
func deathOf(r *storage.Record, code int, oom bool) (list []events.Event) {
	if oom {
		list = append(list, eventOf(r, "oom"))
	}
	return append(list, endOf(r, "died", code))
}

// tell writes events of containers, whose directory is dir.
func tell(dir string, list ...events.Event) { events.Write(dataDirOf(dir), list...) }

// dataDirOf is rl's data directory, two steps above that of a container.
func dataDirOf(dir string) string { return filepath.Dir(filepath.Dir(dir)) }

// happened tells that something was done with a container.
func happened(s *storage.State, status string) { tell(s.Dir, eventOf(&s.Record, status)) }

// happenedWith adds a detail.
func happenedWith(s *storage.State, status, key, value string) {
	e := eventOf(&s.Record, status)
	e.Attributes = maps.Clone(e.Attributes)
	if e.Attributes == nil {
		e.Attributes = map[string]string{}
	}
	e.Attributes[key] = value
	tell(s.Dir, e)
}

// asRecorded is what events say of it.
func (r *run) asRecorded() *storage.Record {
	return &storage.Record{ID: r.id, Name: r.Name, Image: r.Image, Labels: r.spec.Labels}
}

// tellBirth tells of a container in the foreground, while it runs: nobody waits for that.
func (r *run) tellBirth() {
	list := []events.Event{eventOf(r.asRecorded(), "create"), eventOf(r.asRecorded(), "start"), eventOf(r.asRecorded(), "attach")}
	for i := range list {
		list[i].Time = r.life.Started
	}
	r.told = true
	tell(r.dir.Dir, list...)
}

// tellEnd tells how it ended, before anybody can see that. gone: it is removed, too.
func (r *run) tellEnd(code int, gone, starved bool) {
	if !r.told && gone && !r.old {
		return // nobody heard of it
	}
	var list []events.Event
	if !r.told && !r.old {
		list = append(list, eventOf(r.asRecorded(), "create"))
	}
	if r.proc != nil {
		list = append(list, deathOf(r.asRecorded(), code, starved)...)
	}
	if gone {
		list = append(list, eventOf(r.asRecorded(), "remove"))
	}
	tell(r.dir.Dir, list...)
}

// tellEnd is that of a container with a monitor.
func (w *watcher) tellEnd(code int, oom bool) {
	rec, err := storage.ReadRecord(w.dir.Dir)
	if err != nil {
		return
	}
	list := deathOf(rec, code, oom)
	if w.Remove {
		list = append(list, eventOf(rec, "remove"))
	}
	tell(w.dir.Dir, list...)
}

// EventsRequest is `rl events` as typed.
type EventsRequest = events.Options

// Events shows what happened.
func Events(req EventsRequest, show func(*events.Event) error) error {
	store, err := storage.Open()
	if err != nil {
		return err
	}
	return events.Read(store.DataDir, req, show)
}
