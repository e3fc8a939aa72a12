package main

import (
	"fmt"
	"net/http"
	"syscall"
)

// failure is an error that a client receives: a status, a stable code, and what to do next.
type failure struct {
	status  int
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (f *failure) Error() string { return f.Message }

func refuse(status int, code, format string, values ...any) *failure {
	return &failure{status, code, fmt.Sprintf(format, values...)}
}

func badRequest(format string, values ...any) *failure {
	return refuse(http.StatusBadRequest, "bad_request", format, values...)
}

// cwdFailure explains why a program's folder can't be entered.
func cwdFailure(cwd string, errno syscall.Errno) *failure {
	return refuse(http.StatusUnprocessableEntity, "invalid_cwd", "The folder %q can't be entered: %s.", cwd, errno)
}

// startFailure explains why a program can't be started.
func startFailure(name string, errno syscall.Errno) *failure {
	const unprocessable = http.StatusUnprocessableEntity
	switch errno {
	case syscall.ENOENT:
		return refuse(unprocessable, "not_found", "The program %q, or the interpreter that it names, does not exist. Check its name, or give its path.", name)
	case syscall.EACCES, syscall.EPERM:
		return refuse(unprocessable, "not_executable", "The file %q can't be executed. Check its permissions.", name)
	case syscall.ENOEXEC:
		return refuse(unprocessable, "not_executable", "The file %q is no program. A script needs a first line such as #!/bin/sh.", name)
	case syscall.E2BIG:
		return refuse(unprocessable, "too_large", "The arguments and the environment are too large. Pass data by stdin or a file.")
	case syscall.EAGAIN:
		return noProcesses()
	case syscall.ENOMEM:
		return refuse(http.StatusServiceUnavailable, "no_memory", "The container has no memory left. End programs in it.")
	default:
		return refuse(unprocessable, "not_startable", "The program %q can't be started: %s.", name, errno)
	}
}

// openFailure explains why a program's pipes or terminal can't be opened.
func openFailure(errno syscall.Errno, isTerminal bool) *failure {
	if isTerminal && errno == syscall.ENOSPC {
		return refuse(http.StatusServiceUnavailable, "no_terminals", "The container has as many terminals as it may. End programs in it.")
	}
	return refuse(http.StatusServiceUnavailable, "no_files", "The program's input and outputs can't be opened: %s. End programs in the container.", errno)
}

func noProcesses() *failure {
	return refuse(http.StatusServiceUnavailable, "no_processes", "The container has as many processes as it may. End programs in it.")
}
