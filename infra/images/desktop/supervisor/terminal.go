package main

import (
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// terminalSize is a size in characters.
type terminalSize struct {
	Cols int `json:"cols"`
	Rows int `json:"rows"`
}

const mostCharacters = 1000

func (size terminalSize) check() error {
	if size.Cols < 1 || size.Cols > mostCharacters || size.Rows < 1 || size.Rows > mostCharacters {
		return badRequest("cols and rows must be 1 to %d.", mostCharacters)
	}
	return nil
}

// openPeer unlocks a terminal and opens the end that a program has.
func openPeer(terminal int) (int, error) {
	var unlocked int32
	if err := ioctl(terminal, syscall.TIOCSPTLCK, unsafe.Pointer(&unlocked)); err != nil {
		return 0, err
	}
	var number uint32
	if err := ioctl(terminal, syscall.TIOCGPTN, unsafe.Pointer(&number)); err != nil {
		return 0, err
	}
	path := "/dev/pts/" + strconv.Itoa(int(number))
	return syscall.Open(path, syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC, 0)
}

func resize(terminal int, size terminalSize) error {
	words := [4]uint16{uint16(size.Rows), uint16(size.Cols)}
	return ioctl(terminal, syscall.TIOCSWINSZ, unsafe.Pointer(&words))
}

// resizeFile resizes a terminal, and leaves it non-blocking.
func resizeFile(terminal *os.File, size terminalSize) error {
	raw, err := terminal.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = resize(int(fd), size) }); err != nil {
		return err
	}
	return failed
}

func ioctl(fd int, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}
