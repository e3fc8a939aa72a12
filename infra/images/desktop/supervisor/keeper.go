package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// program is what a keeper starts.
type program struct {
	Uid int      `json:"uid"`
	Gid int      `json:"gid"`
	Cmd []string `json:"cmd"`
	Cwd string   `json:"cwd"`
	Env []string `json:"env"`
	Tty bool     `json:"tty"`
}

// report is a message of a keeper to the supervisor: 4 bytes of kind, 4 of value.
type report struct {
	kind  reportKind
	value uint32
}

type reportKind uint32

const (
	reportStarted  reportKind = iota + 1 // the program's pid
	reportBadCwd                         // errno of chdir
	reportNotBegun                       // errno of the start
	reportEnded                          // wait status
)

const (
	reportBytes = 8
	// Descriptors of a keeper beyond those of its program.
	programFd = 3
	reportFd  = 4
)

func init() {
	// Rights and the parent's death signal belong to a thread: the keeper starts its program from the first.
	if len(os.Args) > 1 && os.Args[1] == "keeper" {
		runtime.LockOSThread()
	}
}

// keep is the process above one program. Orphans among the program's descendants become its children, also those with a
// session of their own, so that they can be found and ended. It stays until the last has ended, as root without any
// capability, out of reach of the desktop's user.
func keep([]string) int {
	createThreads(1)
	reports := os.NewFile(reportFd, "reports")
	syscall.CloseOnExec(reportFd)
	p, err := readProgram()
	if err != nil {
		return 1
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreap, 1, 0); errno != 0 {
		return 1
	}
	if err := restrictThread(); err != nil {
		return 1
	}
	main := begin(p, reports)
	if main == 0 || dropCapabilities() != nil {
		return 1
	}
	releaseFiles()
	return reapAll(main, reports)
}

func readProgram() (program, error) {
	var p program
	source := os.NewFile(programFd, "program")
	defer source.Close()
	bytes, err := io.ReadAll(source)
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(bytes, &p)
}

// begin starts the program and reports its pid, or why it can't be started: it then returns 0.
func begin(p program, reports io.Writer) int {
	enter := func() error { return syscall.Chdir(p.Cwd) }
	if err := asUser(identity{p.Uid, p.Gid}, enter); err != nil {
		send(reports, reportBadCwd, errnoOf(err))
		return 0
	}
	attributes := &syscall.ProcAttr{
		Env:   p.Env,
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: p.Tty, Pdeathsig: syscall.SIGKILL},
	}
	if os.Getuid() == 0 {
		attributes.Sys.Credential = &syscall.Credential{Uid: uint32(p.Uid), Gid: uint32(p.Gid)}
	}
	pid, errno := forkProgram(p, attributes)
	_ = syscall.Chdir("/")
	if pid == 0 {
		send(reports, reportNotBegun, errno)
		return 0
	}
	send(reports, reportStarted, uint32(pid))
	return pid
}

// forkProgram looks the program up as execvp does: by starting it from each folder of PATH.
func forkProgram(p program, attributes *syscall.ProcAttr) (pid int, errno uint32) {
	name := p.Cmd[0]
	folders := []string{""}
	if !strings.Contains(name, "/") {
		folders = strings.Split(pathOf(p.Env), ":")
	}
	failure := uint32(syscall.ENOENT)
	for _, folder := range folders {
		path := name
		if folder != "" {
			path = folder + "/" + name
		}
		pid, err := syscall.ForkExec(path, p.Cmd, attributes)
		if err == nil {
			return pid, 0
		}
		switch errno := errnoOf(err); syscall.Errno(errno) {
		case syscall.ENOENT, syscall.ENOTDIR:
		case syscall.EACCES:
			failure = errno
		default:
			return 0, errno
		}
	}
	return 0, failure
}

// releaseFiles closes the program's input and outputs, whose ends would otherwise not be seen.
func releaseFiles() {
	null, err := syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	for fd := range 3 {
		_ = syscall.Dup3(null, fd, 0)
	}
	_ = syscall.Close(null)
}

// reapAll reports the end of the program and returns once no descendant is left.
func reapAll(main int, reports io.Writer) int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, wallFlag, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return 0
		}
		if pid == main {
			send(reports, reportEnded, uint32(status))
		}
	}
}

func send(to io.Writer, kind reportKind, value uint32) {
	message := binary.LittleEndian.AppendUint32(nil, uint32(kind))
	_, _ = to.Write(binary.LittleEndian.AppendUint32(message, value))
}

func errnoOf(err error) uint32 {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return uint32(errno)
	}
	return uint32(syscall.EIO)
}
