package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
)

// attach makes a connection of the request: what it sends is typed, what the terminal shows from ?after on is sent. The
// connection ends when the terminal does, and when its reader fell behind what is kept: a reader that reads on slows the
// program, one that stalls does not.
func attach(w http.ResponseWriter, r *http.Request, p *process) error {
	if p.terminal == nil {
		return badRequest("The process has no terminal.")
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "tty") {
		return refuse(http.StatusUpgradeRequired, "upgrade_required", "Ask for the upgrade to tty.")
	}
	stream := p.stream(0)
	after, err := offsetOf(r, stream)
	if err != nil {
		return err
	}
	conn, buffered, err := upgrade(w, "tty", fmt.Sprintf("X-Offset: %d\r\n", after))
	if err != nil {
		return nil
	}
	defer conn.Close()
	reader := stream.addReader(after)
	defer stream.removeReader(reader)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer p.attached.add(cancel)()
	go func() {
		// A client that ends its side no longer types; one that is gone also no longer reads.
		typeInto(p.terminal, buffered)
		cancel()
	}()
	for {
		bytes, err := stream.read(ctx, after)
		if err != nil {
			return nil
		}
		if _, err := conn.Write(bytes); err != nil {
			return nil
		}
		after += int64(len(bytes))
		stream.advance(reader, after)
	}
}

// mostAttached bounds the connections of one terminal: the next one ends the oldest.
const mostAttached = 8

// attachments are the connections of one terminal, the oldest first.
type attachments struct {
	mu   sync.Mutex
	ends []*context.CancelFunc
}

// add takes what ends a connection, and returns a function that removes it.
func (a *attachments) add(end context.CancelFunc) func() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.ends) >= mostAttached {
		(*a.ends[0])()
		a.ends = slices.Delete(a.ends, 0, 1)
	}
	a.ends = append(a.ends, &end)
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.ends = slices.DeleteFunc(a.ends, func(other *context.CancelFunc) bool { return other == &end })
	}
}

func typeInto(terminal *os.File, from io.Reader) {
	_, _ = io.Copy(writerOnly{terminal}, from)
}

// writerOnly hides other methods, so that bytes are copied through a buffer and never spliced.
type writerOnly struct{ io.Writer }
