package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const mostTreeEntries = 10_000

// readNames reads the names of a folder, sorted by their bytes.
func readNames(folder, most int) ([]string, error) {
	fd, err := openReal(folder, ".", syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "folder")
	defer file.Close()
	names, err := file.Readdirnames(most + 1)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if len(names) > most {
		return nil, refuse(413, "payload_too_large", "The folder has more than %d entries: work on it in the container.", most)
	}
	slices.Sort(names)
	return names, nil
}

func joinNames(names []string) string { return strings.Join(names, "/") }

// treeWalk visits a tree within bounds. visit gets an open file for a regular one, and a link's target.
type treeWalk struct {
	visit          func(path string, info syscall.Stat_t, file *os.File, target string) error
	entries, bytes int64
}

func (t *treeWalk) folder(fd int, path string, depth int) error {
	if depth > deepest {
		return refuse(413, "payload_too_large", "The tree is nested more than %d deep.", deepest)
	}
	names, err := readNames(fd, mostTreeEntries)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := t.entry(fd, name, path+name, depth); err != nil && err != syscall.ENOENT {
			return err
		}
	}
	return nil
}

func (t *treeWalk) entry(folder int, name, path string, depth int) error {
	info, err := stat(folder, name)
	if err != nil {
		return err
	}
	if t.entries++; t.entries > mostTreeEntries {
		return refuse(413, "payload_too_large", "The tree has more than %d entries: name a smaller folder.", mostTreeEntries)
	}
	switch kindOf(info) {
	case syscall.S_IFDIR:
		fd, err := openReal(folder, name, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer syscall.Close(fd)
		if err := t.visit(path, info, nil, ""); err != nil {
			return err
		}
		return t.folder(fd, path+"/", depth+1)
	case syscall.S_IFLNK:
		target, err := readLink(folder, name)
		if err != nil {
			return err
		}
		return t.visit(path, info, nil, target)
	case syscall.S_IFREG:
		return t.file(folder, name, path)
	default:
		return nil
	}
}

func (t *treeWalk) file(folder int, name, path string) error {
	fd, err := openReal(folder, name, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	var info syscall.Stat_t
	if err := syscall.Fstat(fd, &info); err != nil || !isRegular(info) {
		return err
	}
	if t.bytes += info.Size; t.bytes > mostFileBytes {
		return refuse(413, "payload_too_large", "The tree has more than 64 MB: name a smaller folder.")
	}
	return t.visit(path, info, file, "")
}

func readLink(folder int, name string) (string, error) {
	fd, err := openReal(folder, name, oPath, 0)
	if err != nil {
		return "", err
	}
	defer syscall.Close(fd)
	return readLinkFd(fd)
}

// getTree writes a tree as a tar archive. It is measured first, so that one that is too large is refused.
func getTree(folder int) error {
	measure := treeWalk{visit: func(string, syscall.Stat_t, *os.File, string) error { return nil }}
	if err := measure.folder(folder, "", 0); err != nil {
		return err
	}
	if err := writeHead(fileHead{Status: 200, Type: "archive", Size: -1}); err != nil {
		return errBegun
	}
	archive := tar.NewWriter(os.Stdout)
	write := treeWalk{visit: func(path string, info syscall.Stat_t, file *os.File, target string) error {
		return writeMember(archive, path, info, file, target)
	}}
	if write.folder(folder, "", 0) != nil || archive.Close() != nil {
		return errBegun
	}
	return nil
}

func writeMember(archive *tar.Writer, path string, info syscall.Stat_t, file *os.File, target string) error {
	header := &tar.Header{
		Name: path, Mode: int64(info.Mode & permissions), ModTime: time.Unix(info.Mtim.Unix()), Format: tar.FormatPAX,
	}
	switch {
	case file != nil:
		header.Typeflag, header.Size = tar.TypeReg, info.Size
	case isFolder(info):
		header.Typeflag, header.Name = tar.TypeDir, path+"/"
	default:
		header.Typeflag, header.Linkname = tar.TypeSymlink, target
	}
	if err := archive.WriteHeader(header); err != nil || file == nil {
		return err
	}
	// A file that shrinks meanwhile ends the archive before its end.
	_, err := io.CopyN(archive, file, info.Size)
	return err
}

// putTree replaces or adds the members of an archive, once it has arrived and been checked completely.
func putTree(home int, names []string) error {
	to, err := findPlaceOfTree(home, names)
	if err != nil {
		return err
	}
	staging := temporaryName()
	if err := syscall.Mkdirat(to.folder, staging, 0o700); err != nil {
		return err
	}
	// Whatever is left of it is of no use.
	defer func() { _ = deleteTree(to.folder, staging, 0) }()
	fd, err := openReal(to.folder, staging, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	if err := extract(fd, io.LimitReader(os.Stdin, mostFileBytes+1)); err != nil {
		return err
	}
	if !isCommitted() {
		return errBegun
	}
	target, err := to.create()
	if err == nil {
		err = mergeFolder(fd, target, "", 0)
	}
	if err != nil {
		return err
	}
	return writeHead(fileHead{Status: 200, Type: "archive"})
}

// findPlaceOfTree finds the folder that a tree is written into, and which of its names are missing.
func findPlaceOfTree(home int, names []string) (place, error) {
	// The name after the last is in the folder itself.
	return findPlace(home, append(slices.Clone(names), "."))
}

func extract(staging int, body io.Reader) error {
	counted := &countingReader{from: body}
	archive := tar.NewReader(counted)
	var entries, bytes int64
	for {
		header, err := archive.Next()
		if err == io.EOF {
			// What follows the end of the archive is read, so that its sender can finish.
			_, err = io.Copy(io.Discard, counted)
			if err == nil && counted.bytes > mostFileBytes {
				err = tooLarge()
			}
			return err
		}
		if err != nil {
			return archiveFailure(err, counted.bytes)
		}
		if entries++; entries > mostTreeEntries {
			return refuse(413, "payload_too_large", "The archive has more than %d members: send fewer.", mostTreeEntries)
		}
		if bytes += header.Size; bytes > mostFileBytes || header.Size < 0 {
			return refuse(413, "payload_too_large", "The archive's files have more than 64 MB: send less.")
		}
		if err := extractMember(staging, header, archive); err != nil {
			return archiveFailure(err, counted.bytes)
		}
	}
}

func archiveFailure(err error, read int64) error {
	var errno syscall.Errno
	var known *failure
	if errors.As(err, &known) || (errors.As(err, &errno) && errno != syscall.EPIPE) {
		return err
	}
	if read > mostFileBytes {
		return tooLarge()
	}
	return badRequest("The body is no complete tar archive: %.100s.", err.Error())
}

type countingReader struct {
	from  io.Reader
	bytes int64
}

func (c *countingReader) Read(into []byte) (int, error) {
	n, err := c.from.Read(into)
	c.bytes += int64(n)
	return n, err
}

// extractMember writes one member into the staging folder. One that could reach out of it is refused by its name.
func extractMember(staging int, header *tar.Header, content io.Reader) error {
	if header.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	names, err := memberNames(header.Name)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return nil
	}
	if header.Mode&0o7000 != 0 {
		return badMember(header.Name, "has a set-id or sticky bit")
	}
	folder, err := createFolders(staging, names[:len(names)-1], header.Name)
	if err != nil {
		return err
	}
	defer syscall.Close(folder)
	name := names[len(names)-1]
	mode := uint32(header.Mode) & permissions
	switch header.Typeflag {
	case tar.TypeDir:
		made, err := createFolders(folder, []string{name}, header.Name)
		if err != nil {
			return err
		}
		defer syscall.Close(made)
		return syscall.Fchmod(made, mode|0o700)
	case tar.TypeReg, tar.TypeGNUSparse:
		return extractFile(folder, name, mode|0o600, header.ModTime, content)
	case tar.TypeSymlink:
		if !staysBelow(header.Linkname, len(names)-1) {
			return badMember(header.Name, "is a link that leads out of the archive")
		}
		_ = unlinkAt(folder, name, 0)
		return symlinkAt(header.Linkname, folder, name)
	default:
		return badMember(header.Name, "is no file, folder or symbolic link")
	}
}

func badMember(name, problem string) error {
	return badRequest("The member %.200q %s: leave it out.", name, problem)
}

// memberNames splits the name of a member; one of the archive's root has none.
func memberNames(path string) ([]string, error) {
	trimmed := strings.TrimSuffix(strings.TrimPrefix(path, "./"), "/")
	if trimmed == "" || trimmed == "." {
		return nil, nil
	}
	names := strings.Split(trimmed, "/")
	if len(names) > deepest || len(path) > longestPath || strings.ContainsRune(path, 0) {
		return nil, badMember(path, "is nested too deep or named too long")
	}
	for _, name := range names {
		if name == "" || name == "." || name == ".." || len(name) > longestName {
			return nil, badMember(path, "has a name that leads out of the archive, or is longer than 255 bytes")
		}
	}
	return names, nil
}

// staysBelow tells whether a link in a folder of this depth leads to something below the root. Only its first names may
// be "..": after another name, which may itself be a link, they could lead anywhere.
func staysBelow(target string, depth int) bool {
	if target == "" || strings.HasPrefix(target, "/") || strings.ContainsRune(target, 0) || len(target) > longestPath {
		return false
	}
	up, isRising := 0, true
	for _, name := range strings.Split(target, "/") {
		if name == ".." {
			if !isRising {
				return false
			}
			up++
		} else if name != "" && name != "." {
			isRising = false
		}
	}
	return up <= depth
}

// createFolders opens a folder below another, and creates what is missing. Links are not followed.
func createFolders(folder int, names []string, member string) (int, error) {
	current, err := syscall.Dup(folder)
	if err != nil {
		return -1, err
	}
	for _, name := range names {
		err := syscall.Mkdirat(current, name, folderMode)
		if err != nil && err != syscall.EEXIST {
			_ = syscall.Close(current)
			return -1, err
		}
		next, err := openReal(current, name, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
		_ = syscall.Close(current)
		if err == syscall.ELOOP || err == syscall.ENOTDIR {
			return -1, badMember(member, "is below a member that is no folder")
		}
		if err != nil {
			return -1, err
		}
		current = next
	}
	return current, nil
}

func extractFile(folder int, name string, mode uint32, modified time.Time, content io.Reader) error {
	_ = unlinkAt(folder, name, 0)
	fd, err := openReal(folder, name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, mode)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	if _, err := io.Copy(file, content); err != nil {
		return err
	}
	if err := syscall.Fchmod(fd, mode); err != nil {
		return err
	}
	return os.Chtimes("/proc/self/fd/"+strconv.Itoa(fd), time.Time{}, modified)
}

// mergeFolder moves all of a staged folder into another. Existing files are replaced; folders are merged.
func mergeFolder(from, to int, path string, depth int) error {
	names, err := readNames(from, mostTreeEntries)
	if err != nil {
		return err
	}
	for _, name := range names {
		staged, err := stat(from, name)
		if err != nil {
			return err
		}
		existing, err := stat(to, name)
		isNew := err == syscall.ENOENT
		if err != nil && !isNew {
			return err
		}
		switch {
		case !isNew && isFolder(staged) != isFolder(existing):
			return refuse(409, "conflict", "%.200q is a folder on one side and none on the other: delete it first.", path+name)
		case !isNew && isFolder(staged):
			err = mergeInto(from, to, name, path, depth)
		default:
			err = syscall.Renameat(from, name, to, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func mergeInto(from, to int, name, path string, depth int) error {
	const flags = syscall.O_RDONLY | syscall.O_DIRECTORY
	source, err := openReal(from, name, flags, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(source)
	target, err := openReal(to, name, flags, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(target)
	return mergeFolder(source, target, path+name+"/", depth+1)
}
