package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

const (
	mostConnections  = 256
	mostHeaderBytes  = 16 << 10
	mostBodyBytes    = 1 << 20
	headersWithin    = 5 * time.Second
	idleWithin       = time.Minute
	socketCreateMask = 0o117
)

// listen serves on a unix socket that belongs to root; the volume's group may connect.
func (s *supervisor) listen(path string) error {
	mask := syscall.Umask(socketCreateMask)
	listener, err := net.Listen("unix", path)
	syscall.Umask(mask)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	server := &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: headersWithin,
		IdleTimeout:       idleWithin,
		MaxHeaderBytes:    mostHeaderBytes,
		ErrorLog:          log.New(os.Stderr, "supervisor: ", 0),
	}
	go func() {
		log.Fatalln("supervisor:", server.Serve(&boundedListener{listener, make(chan struct{}, mostConnections)}))
	}()
	return nil
}

// routes maps requests to handlers. Files of other nouns add their own here.
func (s *supervisor) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]int{"version": version})
	})
	s.routeProcesses(mux)
	s.routeFiles(mux)
	s.routeTunnels(mux)
	s.routeUsage(mux)
	return mux
}

// handle makes a handler of a function whose error is the answer.
func handle(handler func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := handler(w, r)
		if err == nil || r.Context().Err() != nil {
			return
		}
		var refused *failure
		if !errors.As(err, &refused) {
			refused = refuse(http.StatusInternalServerError, "internal", "The supervisor failed: %s.", err)
		}
		answer(w, refused.status, refused)
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// readBody decodes a bounded JSON body and refuses unknown fields.
func readBody(w http.ResponseWriter, r *http.Request, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostBodyBytes))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return badRequest("The body is no such request: %.200s.", err.Error())
	}
	return nil
}

// boundedListener accepts a connection only when there are fewer than its slots.
type boundedListener struct {
	net.Listener
	slots chan struct{}
}

func (l *boundedListener) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &boundedConn{Conn: conn, slots: l.slots}, nil
}
