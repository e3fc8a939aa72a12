package main

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// bufferBytes is what is kept of each stream.
	bufferBytes = 256 << 10
	// outputGrace is how long descendants may still write once the program has ended.
	outputGrace = 250 * time.Millisecond
	// remainderBytes bounds what is read after the grace: the largest buffer of a pipe that a program may ask for.
	remainderBytes = 1 << 20
	chunkBytes     = 32 << 10
)

// discarding bounds the pipes that descendants of ended programs hold.
var discarding = make(chan struct{}, 256)

var (
	errOffsetGone  = errors.New("the bytes at this offset are no longer kept")
	errOffsetAhead = errors.New("nothing has been written up to this offset")
)

// output is the buffer of one stream of a program. Its writer waits while it is full of bytes that were not acknowledged, or
// when it keeps the last bytes only, that an attached reader is about to read.
type output struct {
	keepsLast bool

	mu sync.Mutex
	// changed is closed and replaced at each change.
	changed chan struct{}
	// base is the offset of data[0]: all before it was acknowledged or dropped.
	base     int64
	data     []byte
	closed   bool
	released bool
	// readers are the attachments to a terminal.
	readers map[*reader]struct{}
}

func newOutput(keepsLast bool) *output {
	return &output{keepsLast: keepsLast, changed: make(chan struct{}), readers: map[*reader]struct{}{}}
}

// notify wakes all that wait. The lock is held.
func (o *output) notify() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// write adds bytes; it waits while there is no room for them. It drops them once the output was released.
func (o *output) write(bytes []byte) {
	for len(bytes) > 0 {
		o.mu.Lock()
		if o.released || o.closed {
			o.mu.Unlock()
			return
		}
		room := bufferBytes - len(o.data)
		recheck := holdFor
		if o.keepsLast && room < len(bytes) {
			var count int
			count, recheck = o.droppable()
			o.drop(min(len(bytes)-room, count))
			room = bufferBytes - len(o.data)
		}
		taken := min(room, len(bytes))
		if taken > 0 {
			o.data = append(o.data, bytes[:taken]...)
			bytes = bytes[taken:]
			o.notify()
		}
		changed := o.changed
		o.mu.Unlock()
		if len(bytes) > 0 {
			o.await(changed, recheck)
		}
	}
}

// await waits for a change; that a reader stalls is none, so it is looked for again.
func (o *output) await(changed <-chan struct{}, recheck time.Duration) {
	if !o.keepsLast {
		<-changed
		return
	}
	timer := time.NewTimer(recheck)
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

// drop forgets the first bytes. The lock is held.
func (o *output) drop(count int) {
	o.data = append(o.data[:0], o.data[count:]...)
	o.base += int64(count)
}

// acknowledge drops the bytes before offset: a reader has them safe.
func (o *output) acknowledge(offset int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if offset > o.base+int64(len(o.data)) {
		return errOffsetAhead
	}
	if offset > o.base {
		o.drop(int(offset - o.base))
		o.notify()
	}
	return nil
}

// read returns a copy of the bytes from offset on; it waits until there are some.
// It returns io.EOF at the end of a closed output.
func (o *output) read(ctx context.Context, offset int64) ([]byte, error) {
	for {
		o.mu.Lock()
		end := o.base + int64(len(o.data))
		closed, changed := o.closed, o.changed
		var bytes []byte
		if offset >= o.base && offset < end {
			from := int(offset - o.base)
			bytes = append(bytes, o.data[from:min(from+chunkBytes, len(o.data))]...)
		}
		gone := offset < o.base
		o.mu.Unlock()
		switch {
		case bytes != nil:
			return bytes, nil
		case gone:
			return nil, errOffsetGone
		case offset > end:
			return nil, errOffsetAhead
		case closed:
			return nil, io.EOF
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// span returns the offsets of the first byte kept and of the end.
func (o *output) span() (from, to int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.base, o.base + int64(len(o.data))
}

// close marks the end of the output.
func (o *output) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.notify()
}

// release drops what is kept and all that follows.
func (o *output) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.released, o.closed = true, true
	o.drop(len(o.data))
	o.data = nil
	o.notify()
}

// copyFrom fills the output from a pipe or terminal until its end, or until the grace after the program's end is over. All
// that the program wrote is in it then. What descendants write to a pipe later is read and dropped, so that they neither
// wait nor fail; a terminal is closed.
func (o *output) copyFrom(source *os.File, isTerminal bool, ended <-chan struct{}) {
	defer source.Close()
	go func() {
		<-ended
		_ = source.SetReadDeadline(time.Now().Add(outputGrace))
	}()
	chunk := make([]byte, chunkBytes)
	for {
		count, err := source.Read(chunk)
		o.write(chunk[:count])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			o.close()
			return
		}
	}
	o.copyRemainder(source, chunk)
	o.close()
	if !isTerminal {
		discard(source, chunk)
	}
}

// discard reads a pipe to its end, unless too many are read so already.
func discard(source *os.File, chunk []byte) {
	select {
	case discarding <- struct{}{}:
	default:
		return
	}
	defer func() { <-discarding }()
	for {
		if _, err := source.Read(chunk); err != nil {
			return
		}
	}
}

// copyRemainder reads what the pipe or terminal holds at this moment, without waiting for more.
func (o *output) copyRemainder(source *os.File, chunk []byte) {
	raw, err := source.SyscallConn()
	if err != nil {
		return
	}
	_ = source.SetReadDeadline(time.Time{})
	for total := 0; total < remainderBytes; {
		count := 0
		_ = raw.Read(func(fd uintptr) bool {
			count, err = syscall.Read(int(fd), chunk)
			return true
		})
		if count <= 0 || err != nil {
			return
		}
		total += count
		o.write(chunk[:count])
	}
}
