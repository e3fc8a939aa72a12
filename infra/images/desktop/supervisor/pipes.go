package main

import (
	"os"
	"syscall"
)

// programFiles are the ends of a program's input and outputs: its own, and the supervisor's.
type programFiles struct {
	own [3]*os.File
	// input takes what the program reads; nil when it reads nothing.
	input *os.File
	// outputs are its standard output and error; a terminal is the first alone.
	outputs []*os.File
}

// openPipes opens pipes that belong to the desktop's user, so that programs may open /dev/stdout again.
func (s *supervisor) openPipes(hasInput bool) (*programFiles, error) {
	files := &programFiles{}
	err := s.forker.asUser(func() error {
		if hasInput {
			read, write, err := os.Pipe()
			if err != nil {
				return err
			}
			files.own[0], files.input = read, write
		} else if null, err := os.Open(os.DevNull); err == nil {
			files.own[0] = null
		} else {
			return err
		}
		for i := 1; i < 3; i++ {
			read, write, err := os.Pipe()
			if err != nil {
				return err
			}
			files.own[i] = write
			files.outputs = append(files.outputs, read)
		}
		return nil
	})
	if err != nil {
		files.close()
		return nil, err
	}
	return files, nil
}

func (f *programFiles) close() {
	closeAll(f.own[:]...)
	closeAll(f.outputs...)
	closeAll(f.input)
}

// openTerminal opens a terminal of this size that belongs to the desktop's user.
func (s *supervisor) openTerminal(size terminalSize) (*programFiles, error) {
	files := &programFiles{}
	err := s.forker.asUser(func() error {
		fd, err := syscall.Open("/dev/ptmx", syscall.O_RDWR|syscall.O_NOCTTY|syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		terminal := os.NewFile(uintptr(fd), "terminal")
		files.outputs = []*os.File{terminal}
		peer, err := openPeer(fd)
		if err != nil {
			return err
		}
		for i := range files.own {
			duplicate, err := syscall.Dup(peer)
			if err != nil {
				return err
			}
			syscall.CloseOnExec(duplicate)
			files.own[i] = os.NewFile(uintptr(duplicate), "terminal")
		}
		_ = syscall.Close(peer)
		return resize(fd, size)
	})
	if err != nil {
		files.close()
		return nil, err
	}
	return files, nil
}
