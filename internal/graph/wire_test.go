package graph

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// rawServer answers each request on a connection by a function that says what
// to write, and whether to go on; it counts requests.
type rawServer struct {
	addr  string
	mu    sync.Mutex
	count map[string]int // by method
}

func newRawServer(t *testing.T, answer func(n int, r *http.Request) (reply string, goOn bool)) *rawServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{addr: l.Addr().String(), count: map[string]int{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for n := 1; ; n++ {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					s.mu.Lock()
					s.count[r.Method]++
					s.mu.Unlock()
					reply, goOn := answer(n, r)
					_, _ = io.WriteString(conn, reply)
					if !goOn {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return s
}

const emptyRoster = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"value\":[]}"

// A server that closes a kept connection after it has read the request: net/http
// would repeat the request by itself, if it were let.
func TestNeverRepeatedOnAClosedConnection(t *testing.T) {
	var one = Invitation{Participants: []Invitee{{Kind: User, ID: "u"}}}
	for method, do := range map[string]func(context.Context, *Client) error{
		"POST":   func(ctx context.Context, c *Client) error { _, err := c.Invite(ctx, "", "c", one); return err },
		"DELETE": func(ctx context.Context, c *Client) error { _, err := c.Remove(ctx, "", "c", "p"); return err },
		"GET":    func(ctx context.Context, c *Client) error { _, err := c.Operation(ctx, "", "c", "o"); return err },
	} {
		t.Run(method, func(t *testing.T) {
			s := newRawServer(t, func(n int, _ *http.Request) (string, bool) {
				return map[bool]string{true: emptyRoster}[n == 1], n == 1
			})
			c, w := clientOf(t, "http://"+s.addr)
			if _, err := c.Participants(t.Context(), "", "c"); err != nil {
				t.Fatal(err)
			}
			err := do(t.Context(), c)
			if KindOf(err) != Unknown {
				t.Errorf("%v", err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			want := map[string]int{"GET": 1}
			want[method]++
			if s.count[method] != want[method] {
				t.Errorf("the server saw %d %s, want %d", s.count[method], method, want[method])
			}
			if before, results := w.counts(); before != 2 || len(results) != 2 || results[1].Status != 0 {
				t.Errorf("Before %d, After %+v", before, results)
			}
		})
	}
}

func TestCutBodies(t *testing.T) {
	s := newRawServer(t, func(_ int, r *http.Request) (string, bool) {
		if r.Method == http.MethodPost {
			return "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nLocation: /x/op-1\r\n\r\n{\"id\":\"op-", false
		}
		return "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"value\":[", false
	})
	c, _ := clientOf(t, "http://"+s.addr)
	if _, err := c.Participants(t.Context(), "", "c"); KindOf(err) != Unknown || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut GET: %v", err)
	}
	op, err := c.Invite(t.Context(), "", "c", Invitation{Participants: []Invitee{{Kind: User, ID: "u"}}})
	if err != nil || op.ID != "op-1" {
		t.Errorf("an accepted invitation with a cut answer: %+v, %v", op, err)
	}
	if _, err := c.Remove(t.Context(), "", "c", "p"); err != nil {
		t.Errorf("a removal with a cut answer: %v", err)
	}
}

func TestNoAnswer(t *testing.T) {
	t.Run("in time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, _ := newClient(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			began := time.Now()
			_, err := c.Remove(t.Context(), "", "c", "p")
			if took := time.Since(began); KindOf(err) != Unknown || !errors.Is(err, context.DeadlineExceeded) || took != DefaultTimeout {
				t.Errorf("after %s: %v", took, err)
			}
			if e, _ := errors.AsType[*Error](err); !e.MayHaveApplied() || e.ClientRequestID == "" {
				t.Errorf("%+v", e)
			}
		})
	})
	t.Run("closed", func(t *testing.T) {
		s := newRawServer(t, func(int, *http.Request) (string, bool) { return "", false })
		c, _ := clientOf(t, "http://"+s.addr)
		_, err := c.Remove(t.Context(), "", "c", "p")
		if KindOf(err) != Unknown {
			t.Errorf("closed: %v", err)
		}
		if strings.Contains(err.Error(), "participants") {
			t.Errorf("the error holds the path: %v", err)
		}
	})
}

func TestNotSent(t *testing.T) {
	// A port nobody listens on.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c, w := clientOf(t, "http://"+addr)
	if _, err := c.Remove(t.Context(), "", "c", "p"); KindOf(err) != NotSent {
		t.Errorf("refused connection: %v", err)
	}
	if _, results := w.counts(); len(results) != 1 || results[0].Status != 0 {
		t.Errorf("After %+v", results)
	}

	// A certificate nobody trusts.
	server := httptest.NewUnstartedServer(answerWith(204, nil, ""))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	c, _ = clientOf(t, server.URL)
	if _, err := c.Remove(t.Context(), "", "c", "p"); KindOf(err) != NotSent {
		t.Errorf("TLS: %v", err)
	}

	// A transport that tells nothing proves nothing.
	c, _ = clientOf(t, "http://127.0.0.1:1", func(cfg *Config) {
		cfg.Transport = roundTripper(func(*http.Request) (*http.Response, error) { return nil, io.ErrClosedPipe })
	})
	if _, err := c.Remove(t.Context(), "", "c", "p"); KindOf(err) != Unknown {
		t.Errorf("silent transport: %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestTLS(t *testing.T) {
	var proto string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proto = r.Proto
		_, _ = w.Write([]byte(`{"value":[]}`))
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	c, _ := clientOf(t, server.URL, func(cfg *Config) {
		transport := newTransport(0, nil)
		transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		cfg.Transport = transport
	})
	for range 2 {
		if _, err := c.Participants(t.Context(), "", "c"); err != nil {
			t.Fatal(err)
		}
	}
	if proto != "HTTP/2.0" {
		t.Errorf("spoke %s", proto)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		c, _ := newClient(t, answerWith(status, http.Header{"Location": {"http://other.test/v1.0/"}}, ""))
		_, err1 := c.Participants(t.Context(), "", "c")
		_, err2 := c.Remove(t.Context(), "", "c", "p")
		_, err3 := c.Invite(t.Context(), "", "c", Invitation{Participants: []Invitee{{Kind: User, ID: "u"}}})
		// Whether an invitation was taken before it is not known.
		if KindOf(err1) != Refused || KindOf(err2) != Refused || KindOf(err3) != BadAnswer {
			t.Errorf("%d: %v, %v, %v", status, err1, err2, err3)
		}
	}
}
