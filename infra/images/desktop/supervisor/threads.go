package main

import (
	"runtime"
	"sync"
)

// spareThreads covers every system call that may block at once. The Go runtime ends the process when it can't create a
// thread, which a program that forks until the container is full would bring about. It reuses threads that exist.
const spareThreads = 12

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
