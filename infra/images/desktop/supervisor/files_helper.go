package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"
)

const (
	// mostListed bounds a page of a listing, and mostNames the folder that it is of.
	mostListed = 1000
	mostNames  = 100_000
	commitFd   = 3
)

// transferFiles is the helper that works on files as the desktop's user: method, path, archive, after, limit.
func transferFiles(args []string) int {
	if len(args) != 5 {
		return 64
	}
	syscall.Umask(0o022)
	home, err := syscall.Open(defaultHome, oPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err == nil {
		err = transfer(home, args[0], args[1], args[2] == "tar", args[3], args[4])
	}
	if err == nil {
		return 0
	}
	if err != errBegun {
		refused := fileFailure(err)
		_ = writeHead(fileHead{Status: refused.status, Code: refused.Code, Message: refused.Message})
	}
	return 1
}

// errBegun ends a transfer whose head is written: the exit status is all that the supervisor sees.
var errBegun = io.ErrShortWrite

func transfer(home int, method, path string, archive bool, after, limit string) error {
	names, err := splitPath(path)
	if err != nil {
		return err
	}
	switch {
	case method == http.MethodDelete:
		return deleteFile(home, names)
	case method == http.MethodPut && archive:
		return putTree(home, names)
	case method == http.MethodPut:
		return putFile(home, names)
	}
	if path == "" {
		path = "."
	}
	fd, err := openAt(home, path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	var info syscall.Stat_t
	if err := syscall.Fstat(fd, &info); err != nil {
		return err
	}
	switch {
	case isFolder(info) && archive:
		return getTree(fd)
	case isFolder(info):
		return getListing(fd, after, limit)
	case isRegular(info) && archive:
		return refuse(409, "conflict", "The path is a file: leave out archive, or name a folder.")
	case isRegular(info):
		return getFile(os.NewFile(uintptr(fd), "file"), info)
	default:
		return notRegular()
	}
}

// isCommitted waits for the supervisor's word that the body was complete.
func isCommitted() bool {
	commit := os.NewFile(commitFd, "commit")
	defer commit.Close()
	n, _ := commit.Read(make([]byte, 1))
	return n == 1
}

func getFile(file *os.File, info syscall.Stat_t) error {
	if info.Size > mostFileBytes {
		return refuse(413, "payload_too_large", "The file has %d bytes, more than 64 MB: split it in the container.", info.Size)
	}
	modified := time.Unix(info.Mtim.Unix()).UTC().Format(http.TimeFormat)
	if err := writeHead(fileHead{Status: 200, Type: "file", Size: info.Size, ModifiedAt: modified}); err != nil {
		return errBegun
	}
	// A file that shrinks meanwhile is not complete.
	if n, err := io.CopyN(os.Stdout, file, info.Size); err != nil || n != info.Size {
		return errBegun
	}
	return nil
}

// fileItem describes one name of a listing.
type fileItem struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Size       int64  `json:"size"`
	ModifiedAt string `json:"modifiedAt"`
}

func getListing(folder int, after, limit string) error {
	most, err := strconv.Atoi(limit)
	if limit == "" {
		most = mostListed
	} else if err != nil || most < 1 || most > mostListed {
		return badRequest("limit must be 1 to %d.", mostListed)
	}
	names, err := readNames(folder, mostNames)
	if err != nil {
		return err
	}
	listing := struct {
		Items []fileItem `json:"items"`
		Next  string     `json:"next,omitempty"`
	}{Items: []fileItem{}}
	for _, name := range names {
		if name <= after && after != "" {
			continue
		}
		if len(listing.Items) == most {
			listing.Next = listing.Items[most-1].Name
			break
		}
		// A name that was deleted meanwhile is left out.
		if info, err := stat(folder, name); err == nil {
			modified := time.Unix(info.Mtim.Unix()).UTC().Format("2006-01-02T15:04:05.000Z")
			listing.Items = append(listing.Items, fileItem{name, typeOf(info), info.Size, modified})
		}
	}
	body, err := json.Marshal(listing)
	if err != nil {
		return err
	}
	if err := writeHead(fileHead{Status: 200, Type: "directory", Size: int64(len(body))}); err != nil {
		return errBegun
	}
	if _, err := os.Stdout.Write(body); err != nil {
		return errBegun
	}
	return nil
}

func typeOf(info syscall.Stat_t) string {
	switch kindOf(info) {
	case syscall.S_IFREG:
		return "file"
	case syscall.S_IFDIR:
		return "directory"
	case syscall.S_IFLNK:
		return "link"
	default:
		return "other"
	}
}
