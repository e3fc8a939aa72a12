package main

import (
	"errors"
	"os"
	"strconv"
)

// defaultID is the user and group of a desktop whose container names none.
const defaultID = 1000

// identity is the user and group of the desktop and of every program that is started for its owner.
type identity struct {
	uid, gid int
}

// readIdentity reads the arguments: the uid, which is also the gid. A supervisor without root runs all as itself.
func readIdentity(args []string) (identity, error) {
	if os.Getuid() != 0 {
		return identity{os.Getuid(), os.Getgid()}, nil
	}
	if len(args) == 0 {
		return identity{defaultID, defaultID}, nil
	}
	uid, err := strconv.Atoi(args[0])
	if err != nil || len(args) > 1 || uid <= 0 || uid >= 1<<31 {
		return identity{}, errors.New("usage: supervisor [uid], where uid is not 0")
	}
	return identity{uid, uid}, nil
}
