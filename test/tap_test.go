//go:build integration

package test

import (
	"net"
	"strings"
	"sync"
	"testing"

	"rollcall/internal/redistest"
)

// tap stands between a command and its Redis, counts the bytes the command
// sends, and lets only so many through: what is beyond never arrives.
type tap struct {
	url   string
	full  chan struct{} // closed when the limit is reached
	mu    sync.Mutex
	sent  int64
	limit int64
}

// newTap taps a server. A limit of 0 is none.
func newTap(t testing.TB, server *redistest.Server, limit int64) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{url: "redis://" + l.Addr().String() + "/0", full: make(chan struct{}), limit: limit}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { p.serve(from, strings.TrimPrefix(server.URL(), "unix://")) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait() // the command has ended, and its connections with it
	})
	return p
}

func (p *tap) serve(from net.Conn, socket string) {
	defer from.Close()
	to, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer to.Close()
	var back sync.WaitGroup
	back.Go(func() {
		relay(from, to, func(n int) int { return n })
		_ = from.Close()
	})
	relay(to, from, p.pass)
	_ = to.Close()
	back.Wait()
}

// relay copies until one side ends. allow says how much of n bytes may pass.
func relay(to, from net.Conn, allow func(n int) int) {
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if _, werr := to.Write(buf[:allow(n)]); err != nil || werr != nil {
			return
		}
	}
}

func (p *tap) pass(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit > 0 && p.sent+int64(n) >= p.limit {
		n = int(p.limit - p.sent)
		if p.sent < p.limit {
			close(p.full)
		}
	}
	p.sent += int64(n)
	return n
}

// count is how many bytes have been let through.
func (p *tap) count() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sent
}
