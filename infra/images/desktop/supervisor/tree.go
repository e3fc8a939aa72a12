package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// endWithin bounds the end of a tree of processes.
	endWithin = 10 * time.Second
	// Bounds of the pause between two looks at a tree that has not ended.
	shortestLook = 2 * time.Millisecond
	longestLook  = 50 * time.Millisecond
)

// endDescendants ends every process below a keeper, which then ends too. All are stopped before any is killed, so that none
// can fork meanwhile. It returns whether all ended in time.
func endDescendants(keeper *child) bool {
	deadline := time.Now().Add(endWithin)
	for pause := shortestLook; ; pause = min(2*pause, longestLook) {
		if keeper.hasEnded() {
			return true
		}
		killDescendants(keeper.pid, deadline)
		select {
		case <-keeper.ended:
			return true
		case <-time.After(pause):
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// scanning bounds the looks at /proc at once: each blocks a thread.
var scanning = make(chan struct{}, 2)

func killDescendants(root int, deadline time.Time) {
	scanning <- struct{}{}
	defer func() { <-scanning }()
	for _, pid := range stopDescendants(root, deadline) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// stopDescendants stops processes until it finds no new ones, and returns them.
func stopDescendants(root int, deadline time.Time) []int {
	var found []int
	known := map[int]bool{}
	for fresh := true; fresh && time.Now().Before(deadline); {
		fresh = false
		for _, pid := range descendantsOf(root) {
			if known[pid] {
				continue
			}
			fresh = true
			known[pid] = true
			found = append(found, pid)
			_ = syscall.Kill(pid, syscall.SIGSTOP)
		}
	}
	return found
}

// descendantsOf lists the processes below root. A process that has exited still counts while it has threads or a parent
// that has not read its status.
func descendantsOf(root int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if parent := parentOf(pid); parent > 0 {
			children[parent] = append(children[parent], pid)
		}
	}
	found := append([]int(nil), children[root]...)
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i]]...)
	}
	return found
}

// parentOf returns the pid of a process's parent, 0 when the process is gone.
func parentOf(pid int) int {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name, in brackets, may itself contain brackets and spaces.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}
