package testutil

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// Server is an HTTP server that is reached through Dial instead of a socket. It
// works in a testing/synctest bubble, where a connection to a real socket would
// stop the fake clock.
type Server struct {
	*httptest.Server
	listener *memListener
}

// NewServer starts a server for handler, and closes it when the test ends.
func NewServer(t testing.TB, handler http.Handler) *Server {
	t.Helper()

	l := &memListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	s := &Server{listener: l}
	s.Server = &httptest.Server{Listener: l, Config: &http.Server{Handler: handler}}
	s.Start()
	t.Cleanup(s.Close)

	return s
}

// Dial connects to the server, whatever the address. It fits
// http.Transport.DialContext.
func (s *Server) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case s.listener.conns <- server:
		return client, nil
	case <-s.listener.closed:
		return nil, &net.OpError{Op: "dial", Net: "mem", Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type memListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }
