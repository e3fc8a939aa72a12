// Supervisor is PID 1 of a desktop's container. It starts the desktop and ends with it, reaps orphans, and serves
// programs, terminals and files over HTTP on a unix socket that only root and the worker's group can reach.
// README.md describes the interface.
package main

import (
	"fmt"
	"os"
)

// version is what GET /health answers. It rises when the interface gains something that a worker asks for.
const version = 2

// helpers are programs of this binary that the supervisor starts as processes of their own, by their first argument.
var helpers = map[string]func(args []string) int{
	"files":  transferFiles,
	"keeper": keep,
}

func main() {
	if len(os.Args) > 1 {
		if helper, known := helpers[os.Args[1]]; known {
			os.Exit(helper(os.Args[2:]))
		}
	}
	desktop, err := readIdentity(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(64)
	}
	if err := supervise(desktop); err != nil {
		fmt.Fprintln(os.Stderr, "supervisor:", err)
		os.Exit(70)
	}
}
