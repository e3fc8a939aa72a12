package main

import (
	"os"
	"runtime"
	"syscall"
)

// forker owns a thread that has given up its bounding set. What it starts as the desktop's user has no capability in any
// set, and what it opens belongs to that user.
type forker struct {
	user   identity
	reaper *reaper
	calls  chan func()
}

func newForker(user identity, reaper *reaper) (*forker, error) {
	f := &forker{user: user, reaper: reaper, calls: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread()
		ready <- restrictThread()
		for call := range f.calls {
			call()
		}
	}()
	return f, <-ready
}

// start starts a program as the desktop's user in a session of its own, with these files as descriptors 0, 1, 2, ….
func (f *forker) start(argv []string, dir string, env []string, files ...*os.File) (*child, error) {
	attributes := &syscall.ProcAttr{Dir: dir, Env: env, Sys: &syscall.SysProcAttr{Setsid: true}}
	if os.Getuid() == 0 {
		attributes.Sys.Credential = &syscall.Credential{Uid: uint32(f.user.uid), Gid: uint32(f.user.gid)}
	}
	for _, file := range files {
		attributes.Files = append(attributes.Files, file.Fd())
	}
	var started *child
	var err error
	f.do(func() {
		started, err = f.reaper.fork(func() (int, error) { return syscall.ForkExec(argv[0], argv, attributes) })
	})
	runtime.KeepAlive(files)
	return started, err
}

// startHelper starts a helper of this binary as the desktop's user, in the home. Programs of that user can stop, trace and
// change it: it must have no descriptor but those that it needs, and its output is not to be trusted.
func (f *forker) startHelper(name string, args []string, files ...*os.File) (*child, error) {
	return f.start(append([]string{self, name}, args...), homeOf(os.Environ()), os.Environ(), files...)
}

// asUser opens files with the rights of the desktop's user.
func (f *forker) asUser(call func() error) error {
	var err error
	f.do(func() { err = asUser(f.user, call) })
	return err
}

func (f *forker) do(call func()) {
	done := make(chan struct{})
	f.calls <- func() {
		defer close(done)
		call()
	}
	<-done
}
