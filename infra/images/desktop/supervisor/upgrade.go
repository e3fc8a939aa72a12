package main

import (
	"io"
	"net"
	"net/http"
	"time"
)

// upgrade takes the connection over for raw bytes. Bytes that follow the request are read from the reader.
func upgrade(w http.ResponseWriter, protocol, headers string) (net.Conn, io.Reader, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	text := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocol + "\r\n" + headers + "\r\n"
	if _, err := conn.Write([]byte(text)); err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, buffered.Reader, nil
}
