package main

import (
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	pAll     = 0
	wallFlag = 0x40000000
	// siginfoPid is the offset of si_pid on 64-bit Linux.
	siginfoPid = 16
)

// reaper reaps every child of PID 1, orphans included. Children are forked under its lock, so that none is reaped before
// its pid is known, and signalled under it, so that a signal never reaches a later process with the same pid.
type reaper struct {
	mu       sync.Mutex
	children map[int]*child
}

// child is a process that the supervisor started.
type child struct {
	pid    int
	reaper *reaper
	// ended is closed once status holds.
	ended  chan struct{}
	status syscall.WaitStatus
}

func newReaper() *reaper {
	return &reaper{children: map[int]*child{}}
}

// fork starts a child by start, which returns its pid.
func (r *reaper) fork(start func() (int, error)) (*child, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err := start()
	if err != nil {
		return nil, err
	}
	c := &child{pid: pid, reaper: r, ended: make(chan struct{})}
	r.children[pid] = c
	return c, nil
}

// signal sends a signal to the child, if it has not ended.
func (c *child) signal(signal syscall.Signal) {
	c.reaper.mu.Lock()
	defer c.reaper.mu.Unlock()
	if c.reaper.children[c.pid] == c {
		_ = syscall.Kill(c.pid, signal)
	}
}

func (c *child) hasEnded() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// run reaps until the process ends.
func (r *reaper) run() {
	var info [128]byte
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, pAll, 0, uintptr(unsafe.Pointer(&info)),
			syscall.WEXITED|syscall.WNOWAIT|wallFlag, 0, 0)
		if errno == syscall.EINTR {
			continue
		}
		if errno != 0 {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		r.reap(int(*(*int32)(unsafe.Pointer(&info[siginfoPid]))))
	}
}

func (r *reaper) reap(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var status syscall.WaitStatus
	reaped, err := syscall.Wait4(pid, &status, syscall.WNOHANG|wallFlag, nil)
	if err != nil || reaped != pid {
		return
	}
	if c, known := r.children[pid]; known {
		delete(r.children, pid)
		c.status = status
		close(c.ended)
	}
}
