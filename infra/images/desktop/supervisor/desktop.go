package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
)

const (
	desktopPath = "/usr/local/bin/desktop"
	socketPath  = "/run/rfb/supervisor"
	// memoryTarget is what the Go runtime collects garbage to stay below: the buffers of all programs, and as much again.
	memoryTarget = 64 << 20
)

// supervisor is the state of PID 1.
type supervisor struct {
	user   identity
	reaper *reaper
	forker *forker
	table  *processTable
}

// supervise serves until the desktop has ended, and ends with its status.
func supervise(user identity) error {
	if os.Getuid() != 0 {
		// Started without root, as by an earlier release of the worker: only the desktop is there.
		return syscall.Exec(desktopPath, []string{desktopPath}, os.Environ())
	}
	runtime.GOMAXPROCS(2)
	debug.SetMemoryLimit(memoryTarget)
	createThreads(spareThreads)
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	reaper := newReaper()
	forker, err := newForker(user, reaper)
	if err != nil {
		return fmt.Errorf("privileges: %w", err)
	}
	s := &supervisor{user, reaper, forker, &processTable{processes: map[string]*process{}}}
	// The socket is there before the desktop, which could not replace it but could take its name.
	if err := s.listen(socketPath); err != nil {
		return err
	}
	output, printed, err := s.openDesktopOutput()
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	desktop, err := forker.start([]string{desktopPath}, homeOf(os.Environ()), os.Environ(), os.Stdin, printed, printed)
	if err != nil {
		return fmt.Errorf("%s: %w", desktopPath, err)
	}
	closeAll(printed)
	go output.run(os.Stdout)
	go reaper.run()
	go s.table.forgetOld()
	for {
		select {
		case <-stop:
			desktop.signal(syscall.SIGTERM)
		case <-desktop.ended:
			output.finish()
			os.Exit(exitCode(desktop.status))
		}
	}
}

// exitCode is the status as a shell gives it.
func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
