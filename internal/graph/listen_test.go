package graph

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/testutil"
)

// TestCallerEnds: the answer to a change that was sent is waited for although its
// caller has ended, until the client itself does; reading is cut off, and so is
// what has not been sent.
func TestCallerEnds(t *testing.T) { synctest.Test(t, testCallerEnds) }

func testCallerEnds(t *testing.T) {
	came, answer := make(chan struct{}), make(chan struct{})
	c, _ := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		select {
		case <-answer:
			w.WriteHeader(http.StatusNoContent)
		case <-r.Context().Done():
		}
	})
	do := func(f func(ctx context.Context) error) (end context.CancelFunc, done chan error) {
		ctx, cancel := context.WithCancel(t.Context())
		done = make(chan error, 1)
		go func() { done <- f(ctx) }()
		<-came
		return cancel, done
	}
	remove := func(ctx context.Context) error { _, err := c.Remove(ctx, "", "c", "p"); return err }

	end, done := do(remove)
	end()
	testutil.Advance(t, DefaultTimeout-time.Second)
	select {
	case err := <-done:
		t.Fatalf("it ended with its caller: %v", err)
	case answer <- struct{}{}:
	}
	if err := <-done; err != nil {
		t.Errorf("the answer is lost: %v", err)
	}

	end, done = do(func(ctx context.Context) error { _, err := c.Participant(ctx, "", "c", "p"); return err })
	end()
	if err := <-done; KindOf(err) != Unknown {
		t.Errorf("reading: %v", err)
	}

	_, done = do(remove)
	c.Abort()
	if err := <-done; KindOf(err) != Unknown {
		t.Errorf("aborted: %v", err)
	}
}

// TestCallerEndsBeforeSending: a change that is still being connected for is cut
// off with its caller, and surely not sent.
func TestCallerEndsBeforeSending(t *testing.T) {
	transport := newTransport(1, nil)
	dialing := make(chan struct{})
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		close(dialing)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	c, _ := clientOf(t, "http://127.0.0.1:1", func(cfg *Config) { cfg.Transport, cfg.Timeout = transport, time.Minute })
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := c.Remove(ctx, "", "c", "p"); done <- err }()
	<-dialing
	end()
	if err := <-done; KindOf(err) != NotSent {
		t.Errorf("%v", err)
	}
}

// TestSlowRefusal: that Graph asks to wait is known when its header is there, not
// only when its body is.
func TestSlowRefusal(t *testing.T) {
	rest := make(chan struct{})
	told := make(chan Result, 1)
	c, _ := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusTooManyRequests)
		w.(http.Flusher).Flush()
		<-rest
	}, func(cfg *Config) { cfg.After = func(_ context.Context, r Result) { told <- r } })
	done := make(chan error, 1)
	go func() { _, err := c.Remove(t.Context(), "", "c", "p"); done <- err }()
	if r := <-told; r.Status != http.StatusTooManyRequests || r.RetryAfter != 7*time.Second {
		t.Errorf("%+v", r)
	}
	close(rest)
	if err := <-done; KindOf(err) != Throttled {
		t.Error(err)
	}
	if len(told) > 0 {
		t.Error("it is told twice")
	}
}

// TestTokenRepeated: an error that repeats the token, however it is written, does
// not tell it.
func TestTokenRepeated(t *testing.T) {
	const token = "EwBwA8l6BAAU+opaque/token=that-is-long-enough"
	for _, written := range []string{token, `EwBwA8l6BAAU\u002Bopaque/token=that-is-long-enough`, `EwBwA8l6BAAU+opaque\/token=that-is-long-enough`} {
		c, _ := newClient(t, answerWith(http.StatusBadRequest, http.Header{"Request-Id": {token}}, graphError("x", "got Bearer "+written)),
			func(cfg *Config) {
				cfg.Tokens = tokenFunc(func(context.Context, string, bool) (string, error) { return token, nil })
			})
		_, err := c.Remove(t.Context(), "", "c", "p")
		var e *Error
		if !errors.As(err, &e) || e.Message != "got Bearer ***" || e.RequestID != "***" {
			t.Errorf("%s: %+v", written, e)
		}
	}
}
