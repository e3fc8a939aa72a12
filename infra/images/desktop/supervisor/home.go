package main

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

const (
	sysOpenat2 = 437
	oPath      = 0x200000
	oTmpfile   = 0x400000 | syscall.O_DIRECTORY
	atFollow   = 0x400
	// Flags of openat2: no other mount, no links of /proc, no links at all, nothing outside.
	resolveNoXdev     = 0x01
	resolveNoMagic    = 0x02
	resolveNoSymlinks = 0x04
	resolveBeneath    = 0x08
	// openAttempts bounds how often a path that is being renamed is looked up.
	openAttempts = 16
	longestName  = 255
)

type openHow struct{ flags, mode, resolve uint64 }

// openAt opens a path below a folder. A link is followed if it stays below.
func openAt(folder int, path string, flags int, mode uint32) (int, error) {
	return openBelow(folder, path, flags, mode, 0)
}

// openReal opens a path below a folder that has no links.
func openReal(folder int, path string, flags int, mode uint32) (int, error) {
	return openBelow(folder, path, flags|syscall.O_NOFOLLOW, mode, resolveNoSymlinks)
}

func openBelow(folder int, path string, flags int, mode uint32, resolve uint64) (int, error) {
	name, err := syscall.BytePtrFromString(path)
	if err != nil {
		return -1, err
	}
	how := openHow{
		flags:   uint64(flags | syscall.O_CLOEXEC),
		mode:    uint64(mode),
		resolve: resolve | resolveNoXdev | resolveNoMagic | resolveBeneath,
	}
	for attempt := 0; ; attempt++ {
		fd, _, errno := syscall.Syscall6(sysOpenat2, uintptr(folder), uintptr(unsafe.Pointer(name)),
			uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
		if errno == 0 {
			return int(fd), nil
		}
		isBusy := errno == syscall.EAGAIN || errno == syscall.EINTR
		if !isBusy || attempt == openAttempts {
			return -1, errno
		}
	}
}

// stat describes a name in a folder. A link is described itself: O_PATH with O_NOFOLLOW opens it.
func stat(folder int, name string) (syscall.Stat_t, error) {
	var info syscall.Stat_t
	fd, err := openReal(folder, name, oPath, 0)
	if err != nil {
		return info, err
	}
	defer syscall.Close(fd)
	return info, syscall.Fstat(fd, &info)
}

func kindOf(info syscall.Stat_t) uint32  { return info.Mode & syscall.S_IFMT }
func isFolder(info syscall.Stat_t) bool  { return kindOf(info) == syscall.S_IFDIR }
func isRegular(info syscall.Stat_t) bool { return kindOf(info) == syscall.S_IFREG }

// splitPath checks a path and splits it into its names; the home has none.
func splitPath(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	names := strings.Split(path, "/")
	for _, name := range names {
		if name == "" || name == "." || name == ".." || len(name) > longestName {
			return nil, badRequest("The path must be names of at most 255 bytes, separated by one slash, without . and ...")
		}
	}
	return names, nil
}

// fileFailure explains an error of the file system.
func fileFailure(err error) *failure {
	var known *failure
	if errors.As(err, &known) {
		return known
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return refuse(500, "internal", "The transfer failed: try again.")
	}
	switch errno {
	case syscall.ENOENT:
		return refuse(404, "not_found", "There is no such file below the home: list its folder.")
	case syscall.ENOTDIR:
		return refuse(404, "not_found", "A part of the path is no folder: list its folder.")
	case syscall.EXDEV, syscall.ELOOP:
		return refuse(404, "not_found", "The path leaves the home by a link or a mount, which is not followed.")
	case syscall.ENXIO, syscall.ENODEV:
		return notRegular()
	case syscall.ENAMETOOLONG:
		return badRequest("A name has more than 255 bytes, or the path more than 4095.")
	case syscall.ENOSPC, syscall.EDQUOT:
		return refuse(507, "insufficient_storage", "The home is full: delete files, then try again.")
	case syscall.EISDIR:
		return refuse(409, "conflict", "The path is a folder: delete it first, or name a file.")
	case syscall.ENOTEMPTY, syscall.EEXIST:
		return refuse(409, "conflict", "The folder is being changed: try again.")
	case syscall.EACCES, syscall.EPERM:
		return refuse(409, "conflict", "The permissions of the file or its folder do not allow it: change them.")
	case syscall.EROFS, syscall.ETXTBSY, syscall.EBUSY:
		return refuse(409, "conflict", "The file is in use or can not be changed: %s.", errno)
	default:
		return refuse(500, "internal", "The transfer failed: %s.", errno)
	}
}

func notRegular() *failure {
	return refuse(409, "conflict", "The path is a device, socket or pipe: only files and folders are transferred.")
}

// writeHead writes the first line of the helper's output.
func writeHead(head fileHead) error {
	line, err := json.Marshal(head)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(line, '\n'))
	return err
}
