package main

import (
	"encoding/base64"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	mostArguments     = 1024
	mostArgumentBytes = 256 << 10
	// longestString is the kernel's bound of one argument, less its end.
	longestString    = 128<<10 - 1
	mostVariables    = 256
	mostInputBytes   = 64 << 10
	longestPath      = 4095
	longestTimeoutMs = 7 * 24 * 3600 * 1000
)

var (
	idPattern       = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	variablePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
)

// processRequest is the body of PUT /processes/{id}.
type processRequest struct {
	Cmd        []string          `json:"cmd"`
	Cwd        string            `json:"cwd"`
	Env        map[string]string `json:"env"`
	Stdin      *string           `json:"stdin"`
	Tty        *terminalSize     `json:"tty"`
	TimeoutMs  int64             `json:"timeoutMs"`
	Background bool              `json:"background"`

	input []byte
}

// check refuses all that can't be started, and decodes the input.
func (r *processRequest) check() error {
	if len(r.Cmd) == 0 || r.Cmd[0] == "" || len(r.Cmd) > mostArguments {
		return badRequest("cmd must be a program and its arguments, at most %d.", mostArguments)
	}
	total := 0
	for _, argument := range r.Cmd {
		total += len(argument) + 1
		if len(argument) > longestString || strings.ContainsRune(argument, 0) {
			return badRequest("Each argument must be shorter than 128 KiB and have no null character.")
		}
	}
	if len(r.Env) > mostVariables {
		return badRequest("env must have at most %d variables.", mostVariables)
	}
	for name, value := range r.Env {
		total += len(name) + len(value) + 2
		if !variablePattern.MatchString(name) || strings.ContainsRune(value, 0) {
			return badRequest("The variable %.64q has a name or value that no program could read.", name)
		}
	}
	if total > mostArgumentBytes {
		return badRequest("cmd and env must have at most %d bytes. Pass data by stdin or a file.", mostArgumentBytes)
	}
	if r.Cwd != "" && (!filepath.IsAbs(r.Cwd) || len(r.Cwd) > longestPath || strings.ContainsRune(r.Cwd, 0)) {
		return badRequest("cwd must be an absolute path.")
	}
	if r.TimeoutMs < 0 || r.TimeoutMs > longestTimeoutMs {
		return badRequest("timeoutMs must be 1 to %d.", int64(longestTimeoutMs))
	}
	if r.Tty != nil {
		if r.Stdin != nil {
			return badRequest("A terminal takes its input from those that attach to it: leave out stdin.")
		}
		return r.Tty.check()
	}
	return r.decodeInput()
}

func (r *processRequest) decodeInput() error {
	if r.Stdin == nil {
		return nil
	}
	input, err := base64.StdEncoding.DecodeString(*r.Stdin)
	if err != nil || len(input) > mostInputBytes {
		return badRequest("stdin must be base64 of at most %d bytes.", mostInputBytes)
	}
	r.input = input
	return nil
}

func (r *processRequest) timeout() time.Duration {
	return time.Duration(r.TimeoutMs) * time.Millisecond
}
