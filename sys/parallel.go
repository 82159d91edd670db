package sys

import (
	"runtime"
	"sync"
)

// InParallel does n small things, many of them by up to four threads at once.
func InParallel(n int, do func(i int)) {
	workers := min(runtime.GOMAXPROCS(0), 4)
	if n < 128 {
		workers = 1
	}
	var wait sync.WaitGroup
	for w := 1; w < workers; w++ {
		wait.Go(func() {
			for i := n * w / workers; i < n*(w+1)/workers; i++ {
				do(i)
			}
		})
	}
	for i := range n / workers {
		do(i)
	}
	wait.Wait()
}
