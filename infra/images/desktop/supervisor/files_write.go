package main

import (
	"crypto/rand"
	"encoding/hex"
	"io"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

const (
	fileMode      = 0o644
	folderMode    = 0o755
	permissions   = 0o777
	mostDeletions = 3
	// deepest bounds how far a tree is walked.
	deepest = 128
)

// place is where a file is put: the deepest folder of its path that exists, and the names below it that do not.
type place struct {
	folder  int
	missing []string
	name    string
}

// findPlace looks up where names lead, without creating anything.
func findPlace(home int, names []string) (place, error) {
	last := len(names) - 1
	for depth := last; ; depth-- {
		path := "."
		if depth > 0 {
			path = joinNames(names[:depth])
		}
		folder, err := openAt(home, path, oPath|syscall.O_DIRECTORY, 0)
		if err == syscall.ENOENT && depth > 0 {
			continue
		}
		if err == syscall.ENOTDIR {
			return place{}, refuse(409, "conflict", "A part of the path is a file: name a folder.")
		}
		return place{folder, names[depth:last], names[last]}, err
	}
}

// create makes the missing folders and returns the last.
func (p place) create() (int, error) {
	folder := p.folder
	for _, name := range p.missing {
		if err := syscall.Mkdirat(folder, name, folderMode); err != nil && err != syscall.EEXIST {
			return -1, err
		}
		next, err := openReal(folder, name, oPath|syscall.O_DIRECTORY, 0)
		if err != nil {
			return -1, err
		}
		folder = next
	}
	return folder, nil
}

// putFile replaces a file by the body at once, when that is complete. A link is replaced, not followed.
func putFile(home int, names []string) error {
	if len(names) == 0 {
		return syscall.EISDIR
	}
	to, err := findPlace(home, names)
	if err != nil {
		return err
	}
	mode, status := uint32(fileMode), 201
	if len(to.missing) == 0 {
		info, err := stat(to.folder, to.name)
		switch {
		case err == syscall.ENOENT:
		case err != nil:
			return err
		case isFolder(info):
			return syscall.EISDIR
		case isRegular(info):
			mode, status = info.Mode&permissions, 200
		case kindOf(info) == syscall.S_IFLNK:
			status = 200
		default:
			return notRegular()
		}
	}
	// Without a name until it is complete: nothing is left when this process ends.
	fd, err := syscall.Openat(to.folder, ".", oTmpfile|syscall.O_WRONLY|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if err := copyBody(os.NewFile(uintptr(fd), "new"), os.Stdin); err != nil {
		return err
	}
	if !isCommitted() {
		return errBegun
	}
	if err := syscall.Fchmod(fd, mode); err != nil {
		return err
	}
	folder, err := to.create()
	if err != nil {
		return err
	}
	if err := publish(fd, folder, to.name); err != nil {
		return err
	}
	return writeHead(fileHead{Status: status, Type: "file"})
}

func copyBody(to io.Writer, from io.Reader) error {
	size, err := io.Copy(to, io.LimitReader(from, mostFileBytes+1))
	if err == nil && size > mostFileBytes {
		return tooLarge()
	}
	return err
}

// publish gives a nameless file its name, in place of another file.
func publish(fd, folder int, name string) error {
	temporary := temporaryName()
	if err := linkAt("/proc/self/fd/"+strconv.Itoa(fd), folder, temporary); err != nil {
		return err
	}
	err := syscall.Renameat(folder, temporary, folder, name)
	if err != nil {
		_ = unlinkAt(folder, temporary, 0)
	}
	return err
}

func deleteFile(home int, names []string) error {
	if len(names) == 0 {
		return badRequest("The home itself can not be deleted: name a file or folder in it.")
	}
	at, err := findPlace(home, names)
	if err != nil {
		return err
	}
	if len(at.missing) > 0 {
		return syscall.ENOENT
	}
	info, err := stat(at.folder, at.name)
	if err != nil {
		return err
	}
	if isFolder(info) {
		err = deleteTree(at.folder, at.name, 0)
	} else {
		err = unlinkAt(at.folder, at.name, 0)
	}
	if err != nil {
		return err
	}
	return writeHead(fileHead{Status: 204})
}

// deleteTree deletes a folder and all in it. Links in it are deleted, not followed.
func deleteTree(parent int, name string, depth int) error {
	if depth > deepest {
		return refuse(409, "conflict", "The folder is nested more than %d deep: delete it in the container.", deepest)
	}
	folder, err := openReal(parent, name, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(folder)
	for attempt := 1; ; attempt++ {
		if err := deleteEntries(folder, depth); err != nil {
			return err
		}
		err := unlinkAt(parent, name, removeFolder)
		// Another program may create files meanwhile.
		if err != syscall.ENOTEMPTY || attempt == mostDeletions {
			return err
		}
	}
}

func deleteEntries(folder, depth int) error {
	names, err := readNames(folder, mostNames)
	if err != nil {
		return err
	}
	for _, name := range names {
		err := unlinkAt(folder, name, 0)
		if err == syscall.EISDIR {
			err = deleteTree(folder, name, depth+1)
		}
		if err != nil && err != syscall.ENOENT {
			return err
		}
	}
	return nil
}

// removeFolder is AT_REMOVEDIR.
const removeFolder = 0x200

func unlinkAt(folder int, name string, flags uintptr) error {
	path, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_UNLINKAT, uintptr(folder), uintptr(unsafe.Pointer(path)), flags); errno != 0 {
		return errno
	}
	return nil
}

func linkAt(from string, folder int, name string) error {
	source, err := syscall.BytePtrFromString(from)
	if err != nil {
		return err
	}
	target, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	const workingFolder = ^uintptr(99) // AT_FDCWD
	_, _, errno := syscall.Syscall6(syscall.SYS_LINKAT, workingFolder, uintptr(unsafe.Pointer(source)),
		uintptr(folder), uintptr(unsafe.Pointer(target)), atFollow, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func temporaryName() string {
	random := make([]byte, 8)
	_, _ = rand.Read(random)
	return ".warmwind-" + hex.EncodeToString(random)
}

func symlinkAt(target string, folder int, name string) error {
	text, err := syscall.BytePtrFromString(target)
	if err != nil {
		return err
	}
	path, err := syscall.BytePtrFromString(name)
	if err != nil {
		return err
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_SYMLINKAT, uintptr(unsafe.Pointer(text)), uintptr(folder), uintptr(unsafe.Pointer(path))); errno != 0 {
		return errno
	}
	return nil
}

// readLinkFd reads the target of an open link.
func readLinkFd(fd int) (string, error) {
	target := make([]byte, longestPath+1)
	empty := []byte{0}
	n, _, errno := syscall.Syscall6(syscall.SYS_READLINKAT, uintptr(fd), uintptr(unsafe.Pointer(&empty[0])),
		uintptr(unsafe.Pointer(&target[0])), uintptr(len(target)), 0, 0)
	if errno != 0 {
		return "", errno
	}
	return string(target[:n]), nil
}
