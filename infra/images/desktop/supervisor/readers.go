package main

import "time"

// holdFor is how long a terminal waits for an attached reader that takes nothing.
const holdFor = 2 * time.Second

// reader is an attachment to a terminal: what it has not read yet is not dropped while it reads on.
type reader struct {
	offset  int64
	movedAt time.Time
}

// addReader adds a reader at an offset.
func (o *output) addReader(offset int64) *reader {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := &reader{offset, time.Now()}
	o.readers[r] = struct{}{}
	return r
}

// advance records that the reader took all before offset.
func (o *output) advance(r *reader, offset int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r.offset, r.movedAt = offset, time.Now()
	o.notify()
}

// removeReader removes a reader that has left.
func (o *output) removeReader(r *reader) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.readers, r)
	o.notify()
}

// droppable returns how many of the first bytes no reader waits for, and after which time one that holds them is no longer
// waited for. The lock is held.
func (o *output) droppable() (count int, recheck time.Duration) {
	count, recheck = len(o.data), holdFor
	for r := range o.readers {
		left := holdFor - time.Since(r.movedAt)
		unread := max(int(r.offset-o.base), 0)
		if left > 0 && unread < count {
			count = unread
		}
		if left > 0 {
			recheck = min(recheck, left)
		}
	}
	return count, recheck
}
