package main

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"syscall"
	"time"
)

// launchWithin bounds the start of a program.
const launchWithin = 10 * time.Second

// self is the path of this program.
var self = func() string {
	path, err := os.Executable()
	if err != nil {
		return "/usr/local/bin/supervisor"
	}
	return path
}()

// launched is a program that runs below its keeper.
type launched struct {
	keeper  *child
	pid     int
	reports *os.File
}

// launch starts a program below a keeper of its own, with these files as its input and outputs. It closes them.
func (s *supervisor) launch(p program, files [3]*os.File) (*launched, error) {
	defer closeAll(files[:]...)
	p.Uid, p.Gid = s.user.uid, s.user.gid
	description, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	programRead, programWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer closeAll(programRead, programWrite)
	reportsRead, reportsWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer reportsWrite.Close()

	keeper, err := s.forkKeeper(files[0], files[1], files[2], programRead, reportsWrite)
	if err != nil {
		reportsRead.Close()
		return nil, startFailure(p.Cmd[0], syscall.Errno(errnoOf(err)))
	}
	closeAll(programRead, reportsWrite)
	deadline := time.Now().Add(launchWithin)
	_ = programWrite.SetWriteDeadline(deadline)
	_ = reportsRead.SetReadDeadline(deadline)
	// When it can't be written, the keeper has ended and its report is missing.
	_, _ = programWrite.Write(description)
	programWrite.Close()
	first, err := receive(reportsRead)
	_ = reportsRead.SetReadDeadline(time.Time{})
	if err == nil && first.kind == reportStarted {
		return &launched{keeper, int(first.value), reportsRead}, nil
	}
	reportsRead.Close()
	keeper.signal(syscall.SIGKILL)
	return nil, launchFailure(p, first, err)
}

func launchFailure(p program, first report, err error) error {
	switch {
	case err != nil:
		// The keeper could not create its threads.
		return noProcesses()
	case first.kind == reportBadCwd:
		return cwdFailure(p.Cwd, syscall.Errno(first.value))
	case first.kind == reportNotBegun:
		return startFailure(p.Cmd[0], syscall.Errno(first.value))
	default:
		return refuse(http.StatusInternalServerError, "internal", "The program could not be started. Try again.")
	}
}

// forkKeeper starts a keeper as root. Its threads are few, as they count for the container's processes.
func (s *supervisor) forkKeeper(files ...*os.File) (*child, error) {
	attributes := &syscall.ProcAttr{
		Dir: "/",
		Env: []string{"GOMAXPROCS=1", "GOGC=off", "GOTRACEBACK=none"},
		Sys: &syscall.SysProcAttr{Setsid: true},
	}
	for _, file := range files {
		attributes.Files = append(attributes.Files, file.Fd())
	}
	return s.reaper.fork(func() (int, error) {
		return syscall.ForkExec(self, []string{"supervisor", "keeper"}, attributes)
	})
}

func receive(from io.Reader) (report, error) {
	var message [reportBytes]byte
	if _, err := io.ReadFull(from, message[:]); err != nil {
		return report{}, err
	}
	kind := reportKind(binary.LittleEndian.Uint32(message[:]))
	return report{kind, binary.LittleEndian.Uint32(message[4:])}, nil
}

func closeAll(files ...*os.File) {
	for _, file := range files {
		if file != nil {
			file.Close()
		}
	}
}
