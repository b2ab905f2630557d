package testutil

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// failing is a test that is expected to fail.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Fatal(args ...any) {
	f.said = fmt.Sprint(args...)
	runtime.Goexit()
}

func (f *failing) Fatalf(format string, args ...any) { f.Fatal(fmt.Sprintf(format, args...)) }

// failure returns with what test fails, or nothing.
func failure(t *testing.T, test func(t testing.TB)) string {
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(f)
	}()
	<-done

	return f.said
}

func TestAdvance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		for _, d := range []time.Duration{0, time.Nanosecond, 90 * time.Minute} {
			if said := failure(t, func(t testing.TB) { Advance(t, d) }); said != "" {
				t.Error(said)
			}
		}
		if passed := time.Since(begin); passed != 90*time.Minute+time.Nanosecond {
			t.Errorf("%s passed", passed)
		}
	})
}

func TestAdvanceNeedsFakeClock(t *testing.T) {
	if said := failure(t, func(t testing.TB) { Advance(t, time.Nanosecond) }); !strings.Contains(said, "fake clock") {
		t.Errorf("it said %q", said)
	}
}

func TestEventually(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, asked := time.Now(), 0
		said := failure(t, func(t testing.TB) {
			Eventually(t, "a minute of polls", func() bool { asked++; return time.Since(begin) > time.Minute })
		})
		if passed := time.Since(begin); said != "" || passed != time.Minute+pollInterval || asked != int(time.Minute/pollInterval)+2 {
			t.Errorf("after %s and %d polls: %q", passed, asked, said)
		}

		begin = time.Now()
		said = failure(t, func(t testing.TB) { Eventually(t, "it is done", func() bool { return false }) })
		if passed := time.Since(begin); !strings.Contains(said, "it is done") || passed != WaitLimit+pollInterval {
			t.Errorf("after %s: %q", passed, said)
		}
	})
}

// get reads from a server without a socket.
func get(ctx context.Context, c *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)

	return string(text), err
}

func TestServerOnFakeClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			Advance(t, time.Minute)
			_, _ = io.WriteString(w, r.Host+r.URL.Path)
		}))
		transport := &http.Transport{DialContext: s.Dial}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}

		// Whatever the address, and several at once.
		begin := time.Now()
		var all sync.WaitGroup
		for _, url := range []string{"http://graph.test/a", "http://other.test:81/b", s.URL + "/c"} {
			all.Go(func() {
				if text, err := get(t.Context(), client, url); err != nil || "http://"+text != url {
					t.Errorf("%s: %q, %v", url, text, err)
				}
			})
		}
		all.Wait()
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("answers that take a minute took %s", took)
		}

		// A client that does not wait for as long.
		begin = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := get(ctx, client, "http://graph.test/"); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
	})
}

func TestServerThatIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(t, http.NotFoundHandler())
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		s.Close()
		if _, err := s.Dial(t.Context(), "tcp", "graph.test:80"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
		if _, err := (&Server{listener: &memListener{}}).Dial(gone, "tcp", ""); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

func TestBuffer(t *testing.T) {
	var b Buffer
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			for range 100 {
				if n, err := fmt.Fprintln(&b, "line"); n != 5 || err != nil {
					t.Error(n, err)
				}
				_ = b.String()
			}
		})
	}
	all.Wait()
	if b.String() != strings.Repeat("line\n", 1000) {
		t.Errorf("%d bytes were kept", len(b.String()))
	}
}

func TestFreeAddr(t *testing.T) {
	addr := FreeAddr(t)
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host != "127.0.0.1" || port == "0" {
		t.Errorf("%s: %v", addr, err)
	}
}
