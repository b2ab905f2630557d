package graph

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"

	"rollcall/internal/testutil"
)

// tokenFunc is a TokenSource.
type tokenFunc func(ctx context.Context, tenant string, fresh bool) (string, error)

func (f tokenFunc) Token(ctx context.Context, tenant string, fresh bool) (string, error) {
	return f(ctx, tenant, fresh)
}

func staticToken(context.Context, string, bool) (string, error) { return "token-1", nil }

// watch counts what passes Before and After.
type watch struct {
	mu      sync.Mutex
	before  int
	results []Result
}

func (w *watch) counts() (before int, results []Result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.before, append([]Result(nil), w.results...)
}

// newClient makes a client of a server that needs no socket, and watches it. It works
// on a fake clock, too. A client that turns to another server fails the test.
func newClient(t *testing.T, handler http.HandlerFunc, change ...func(*Config)) (*Client, *watch) {
	t.Helper()
	server := testutil.NewServer(t, handler)
	dial := func(cfg *Config) {
		cfg.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != server.Listener.Addr().String() {
				t.Errorf("the client connects to %s", addr)
			}
			return server.Dial(ctx, network, addr)
		}
	}
	return clientOf(t, server.URL, append([]func(*Config){dial}, change...)...)
}

func clientOf(t *testing.T, base string, change ...func(*Config)) (*Client, *watch) {
	t.Helper()
	w := new(watch)
	cfg := Config{
		BaseURL: base,
		Tokens:  tokenFunc(staticToken),
		Before: func(context.Context, string) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.before++
			return nil
		},
		After: func(_ context.Context, r Result) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.results = append(w.results, r)
		},
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c, w
}

// answerWith serves one answer to everything.
func answerWith(status int, header http.Header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for k, v := range header {
			w.Header()[k] = v
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}
