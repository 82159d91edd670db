package container

import (
	"errors"
	"time"

	"github.com/rl-containers/rl/hint"
	"github.com/rl-containers/rl/storage"
)

// release ends what served the program, in the order in which it depends on each other.
func (r *run) release() {
	if r.front != nil {
		r.front.Restore()
	}
	if r.net != nil {
		r.net.Close()
	}
	if r.fuse != nil {
		r.fuse.Kill()
		r.fuse.Wait()
	}
	if r.collected != nil {
		<-r.collected
	}
	if r.log != nil {
		r.log.Close()
	}
	r.net, r.fuse, r.collected, r.log = nil, nil, nil, nil
}

// cleanUp lets go of everything. code and err are how it ended.
func (r *run) cleanUp(code int, err error) {
	r.release()
	if err != nil {
		code = exitCodeOf(err)
	}
	starved := r.endGroup(code)
	step("container %s: all that served it has ended, its exit code is %d", r.Name, code)
	if r.Remove || r.proc == nil && !r.old {
		r.tellEnd(code, true, starved)
		r.discard()
		return
	}
	r.tellEnd(code, false, starved)
	r.died(code, err)
	r.dir.Close()
}

// died writes how the program ended, or why it didn't start.
func (r *run) died(code int, err error) {
	r.life.ExitCode = code
	if err != nil {
		r.life = storage.Life{Error: err.Error(), ExitCode: exitCodeOf(err)}
	} else {
		r.life.Finished = time.Now()
	}
	if err := r.dir.WriteLife(&r.life); err != nil {
		r.say("warning: " + err.Error())
	}
}

// exitCodeOf is the one that main would choose for err.
func exitCodeOf(err error) int {
	var exit *hint.Exit
	if errors.As(err, &exit) {
		return exit.Code
	}
	return 125
}
