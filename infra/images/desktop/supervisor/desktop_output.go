package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// keptBytes is what waits to be passed on, at most; older lines are dropped.
	keptBytes = 16 << 10
	// burstBytes are passed on at once, and then passedPerSecond: a start prints more than a desktop that runs.
	burstBytes      = 32 << 10
	passedPerSecond = 2 << 10
	// longestLine is passed on although it has no end yet.
	longestLine = 4 << 10
	// flushWithin bounds the wait for the engine at the end.
	flushWithin = time.Second
)

// desktopOutput passes what the desktop prints on to the engine's log. The engine spends the host's CPUs on each byte of it, so
// that a desktop that prints without end is passed on slowly: what exceeds keptBytes is dropped, and its last bytes follow at the
// desktop's end. The desktop never waits.
type desktopOutput struct {
	mu      sync.Mutex
	data    []byte
	dropped int64
	// arrived holds a token while there may be data that was not passed on.
	arrived chan struct{}
	ending  chan struct{}
	read    chan struct{}
	passed  chan struct{}
	source  *os.File
}

// openDesktopOutput returns the output and the file that the desktop writes to, which belongs to its user.
func (s *supervisor) openDesktopOutput() (*desktopOutput, *os.File, error) {
	var source, own *os.File
	err := s.forker.asUser(func() (err error) {
		source, own, err = os.Pipe()
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return &desktopOutput{
		arrived: make(chan struct{}, 1), ending: make(chan struct{}),
		read: make(chan struct{}), passed: make(chan struct{}), source: source,
	}, own, nil
}

// run passes the output on until finish.
func (o *desktopOutput) run(log io.Writer) {
	go o.readAll()
	o.passOn(log)
}

// finish passes on what the desktop has printed up to now.
func (o *desktopOutput) finish() {
	_ = o.source.SetReadDeadline(time.Now())
	timer := time.NewTimer(flushWithin)
	defer timer.Stop()
	for _, done := range []chan struct{}{o.read, o.passed} {
		select {
		case <-done:
		case <-timer.C:
			return
		}
	}
}

// readAll reads until the deadline, which is the desktop's end, and then what the pipe holds.
func (o *desktopOutput) readAll() {
	defer close(o.read)
	defer close(o.ending)
	chunk := make([]byte, chunkBytes)
	for {
		count, err := o.source.Read(chunk)
		o.add(chunk[:count])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return
		}
	}
	raw, err := o.source.SyscallConn()
	if err != nil || o.source.SetReadDeadline(time.Time{}) != nil {
		return
	}
	for total := 0; total < remainderBytes; {
		count := 0
		_ = raw.Read(func(fd uintptr) bool {
			count, _ = syscall.Read(int(fd), chunk)
			return true
		})
		if count <= 0 {
			return
		}
		total += count
		o.add(chunk[:count])
	}
}

// add keeps the last bytes. Of those that are dropped it drops the complete line, so that no part of a secret remains.
func (o *desktopOutput) add(chunk []byte) {
	if len(chunk) == 0 {
		return
	}
	o.mu.Lock()
	o.data = append(o.data, chunk...)
	if excess := len(o.data) - keptBytes; excess > 0 {
		if end := bytes.IndexByte(o.data[excess:], '\n'); end >= 0 && end < longestLine {
			excess += end + 1
		}
		o.dropped += int64(excess)
		o.data = append(o.data[:0], o.data[excess:]...)
	}
	o.mu.Unlock()
	o.notify()
}

// take removes what may be passed on: complete lines, at most this many bytes.
func (o *desktopOutput) take(most int, all bool) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	count := len(o.data)
	if !all {
		count = min(count, most)
		if end := bytes.LastIndexByte(o.data[:count], '\n'); end >= 0 {
			count = end + 1
		} else if count < longestLine {
			return nil
		}
	}
	var taken []byte
	if count > 0 && o.dropped > 0 {
		taken = fmt.Appendf(taken, "[supervisor: %d bytes left out]\n", o.dropped)
		o.dropped = 0
	}
	taken = append(taken, o.data[:count]...)
	o.data = append(o.data[:0], o.data[count:]...)
	return taken
}

// passOn writes at the permitted pace; at the end, all that is left.
func (o *desktopOutput) passOn(log io.Writer) {
	defer close(o.passed)
	room, at := float64(burstBytes), time.Now()
	for {
		select {
		case <-o.arrived:
		case <-o.ending:
			_, _ = log.Write(o.take(0, true))
			return
		}
		now := time.Now()
		room = min(burstBytes, room+now.Sub(at).Seconds()*passedPerSecond)
		at = now
		if room < longestLine {
			// What arrives meanwhile is passed on with it, or dropped.
			o.pause(time.Duration((longestLine - room) / passedPerSecond * float64(time.Second)))
			continue
		}
		count, _ := log.Write(o.take(int(room), false))
		room -= float64(count)
		if count > 0 {
			o.notify()
		}
	}
}

func (o *desktopOutput) pause(wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-o.ending:
	}
	o.notify()
}

func (o *desktopOutput) notify() {
	select {
	case o.arrived <- struct{}{}:
	default:
	}
}
