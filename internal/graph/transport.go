package graph

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"
)

// newTransport makes a transport whose connections count what is written to
// them, so that a request that never left can be told from one that may have.
func newTransport(concurrency int, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *http.Transport {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	kept := cmp.Or(concurrency, 64)
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &countingConn{Conn: conn}, nil
		},
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           kept,
		MaxIdleConnsPerHost:    kept,
		IdleConnTimeout:        60 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
	}
}

// countingConn counts the bytes handed to the kernel.
type countingConn struct {
	net.Conn
	written atomic.Int64
}

// Write counts before it writes and corrects afterwards, so that a write under
// way is never taken for none.
func (c *countingConn) Write(p []byte) (int, error) {
	c.written.Add(int64(len(p)))
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n - len(p)))
	return n, err
}

// sendTrace watches one round trip, to tell afterwards whether anything of the
// request was written. The transport calls the hooks from its own goroutines.
type sendTrace struct {
	mu    sync.Mutex
	seen  bool // the transport reports what it does
	wrote bool // cannot be ruled out
	conn  *countingConn
	start int64
}

func (t *sendTrace) hooks() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.seen = true
		},
		GotConn: func(info httptrace.GotConnInfo) {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.settle() // a second connection: judge the first one now
			conn := info.Conn
			if s, ok := conn.(*tls.Conn); ok {
				// An HTTP/2 connection is shared, and may write after the round
				// trip has ended: its count proves nothing.
				t.wrote = t.wrote || s.ConnectionState().NegotiatedProtocol == "h2"
				conn = s.NetConn()
			}
			if t.conn, _ = conn.(*countingConn); t.conn != nil {
				t.start = t.conn.written.Load()
			} else {
				t.wrote = true
			}
		},
	}
}

// settle notes whether the present connection was written to.
func (t *sendTrace) settle() {
	if t.conn != nil && t.conn.written.Load() != t.start {
		t.wrote = true
	}
}

// surelyUnsent is true when no byte of the request can have left. It is asked when
// the round trip is over.
func (t *sendTrace) surelyUnsent() bool {
	sent := t.perhapsSent()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen && !sent
}

// perhapsSent is true when some of the request may have left by now, as far as
// the transport reports it.
func (t *sendTrace) perhapsSent() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle()
	return t.wrote
}

// noReplay is an empty body. net/http sends nothing for it on GET and DELETE,
// but does not repeat a request that has one.
type noReplay struct{}

func (noReplay) Read([]byte) (int, error) { return 0, io.EOF }
func (noReplay) Close() error             { return nil }
