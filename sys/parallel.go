package sys

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// InParallel does n small things, many of them by up to four threads at once. One that starts late, or has the harder ones, does fewer.
func InParallel(n int, do func(i int)) {
	const piece = 32
	workers := min(runtime.GOMAXPROCS(0), 4, n/(2*piece))
	var next atomic.Int64
	work := func() {
		for {
			end := int(next.Add(piece))
			for i := end - piece; i < min(end, n); i++ {
				do(i)
			}
			if end >= n {
				return
			}
		}
	}
	var wait sync.WaitGroup
	for range max(workers-1, 0) {
		wait.Go(work)
	}
	work()
	wait.Wait()
}
