package main

import "strings"

const (
	defaultHome    = "/home/user"
	defaultPath    = "/usr/local/bin:/usr/bin:/bin"
	defaultDisplay = ":0"
	terminalType   = "xterm-256color"
)

// environmentOf returns the environment of a program: the container's, a display, and what the request sets.
func environmentOf(container []string, request map[string]string, tty bool) []string {
	values := map[string]string{"HOME": defaultHome, "PATH": defaultPath, "LANG": "C.UTF-8", "USER": "user", "DISPLAY": defaultDisplay}
	if tty {
		values["TERM"] = terminalType
	}
	for _, entry := range container {
		if name, value, ok := strings.Cut(entry, "="); ok && name != "" {
			values[name] = value
		}
	}
	for name, value := range request {
		values[name] = value
	}
	environment := make([]string, 0, len(values))
	for name, value := range values {
		environment = append(environment, name+"="+value)
	}
	return environment
}

func valueOf(environment []string, name, otherwise string) string {
	for _, entry := range environment {
		if found, value, ok := strings.Cut(entry, "="); ok && found == name && value != "" {
			return value
		}
	}
	return otherwise
}

func homeOf(environment []string) string { return valueOf(environment, "HOME", defaultHome) }
func pathOf(environment []string) string { return valueOf(environment, "PATH", defaultPath) }
