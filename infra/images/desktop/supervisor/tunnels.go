package main

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	mostTunnels   = 64
	connectWithin = 5 * time.Second
)

// routeTunnels adds GET /tunnels/{port}: a TCP connection to a port of the container's loopback.
func (s *supervisor) routeTunnels(mux *http.ServeMux) {
	slots := make(chan struct{}, mostTunnels)
	mux.HandleFunc("GET /tunnels/{port}", handle(func(w http.ResponseWriter, r *http.Request) error {
		port, err := strconv.ParseUint(r.PathValue("port"), 10, 16)
		if err != nil || port == 0 {
			return badRequest("The port must be 1 to 65535.")
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			return refuse(http.StatusTooManyRequests, "busy", "The container has %d open tunnels: close some.", mostTunnels)
		}
		remote, err := dialLoopback(strconv.FormatUint(port, 10))
		if err != nil {
			return refuse(http.StatusConflict, "conflict", "Nothing listens at port %d of 127.0.0.1 in the container: start a server there.", port)
		}
		defer remote.Close()
		local, buffered, err := upgrade(w, "tcp", "")
		if err != nil {
			return nil
		}
		defer local.Close()
		carry(local, buffered, remote)
		return nil
	}))
}

func dialLoopback(port string) (*net.TCPConn, error) {
	dialer := net.Dialer{Timeout: connectWithin}
	conn, err := dialer.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		conn, err = dialer.Dial("tcp", net.JoinHostPort("::1", port))
	}
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// carry copies in both directions. The end of one is passed on alone; an error ends both.
func carry(local net.Conn, buffered io.Reader, remote *net.TCPConn) {
	done := make(chan error, 2)
	go func() {
		_, err := io.Copy(remote, buffered)
		_ = remote.CloseWrite()
		done <- err
	}()
	go func() {
		_, err := io.Copy(local, remote)
		if half, can := local.(interface{ CloseWrite() error }); can {
			_ = half.CloseWrite()
		}
		done <- err
	}()
	if <-done == nil {
		<-done
	}
}
