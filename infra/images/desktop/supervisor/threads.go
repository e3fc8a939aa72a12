package main

import (
	"runtime"
	"sync"
)

// spareThreads is how many threads exist from the start. The Go runtime ends the process when it can't create one. The
// desktop's processes are bounded by themselves, so that the container has room for more; they only save time.
const spareThreads = 8

// createThreads makes the runtime create this many threads now.
func createThreads(count int) {
	var started, ended sync.WaitGroup
	release := make(chan struct{})
	started.Add(count)
	ended.Add(count)
	for range count {
		go func() {
			defer ended.Done()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			started.Done()
			<-release
		}()
	}
	started.Wait()
	close(release)
	ended.Wait()
}
