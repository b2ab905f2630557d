package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

const secret = "a secret of some length"

// got is a request that a receiver was sent.
type got struct {
	header http.Header
	body   []byte
}

func (g got) field(t *testing.T, name string) any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(g.body, &all); err != nil {
		t.Fatalf("%v: %s", err, g.body)
	}
	return all[name]
}

// receiver is a webhook. answer gives the n-th answer, counted from 0; nil: 204.
type receiver struct {
	*testutil.Server
	mu     sync.Mutex
	all    []got
	answer func(n int, w http.ResponseWriter, r *http.Request)
}

func receive(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	rc := &receiver{answer: answer}
	rc.Server = testutil.NewServer(t, http.HandlerFunc(rc.serve))
	return rc
}

func (rc *receiver) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	rc.mu.Lock()
	n := len(rc.all)
	rc.all = append(rc.all, got{r.Header, body})
	rc.mu.Unlock()
	if rc.answer == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	rc.answer(n, w, r)
}

func (rc *receiver) requests() []got {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return append([]got(nil), rc.all...)
}

// dialer is a connection to a receiver in place of a socket.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// target returns a target that is reached through dial, or through sockets if that
// is nil.
func target(t *testing.T, url string, dial dialer) *Target {
	t.Helper()
	tg, err := NewTarget(url, []byte(secret), "rollcall/test")
	if err != nil {
		t.Fatal(err)
	}
	if dial != nil {
		tg.client.Transport.(*http.Transport).DialContext = dial
	}
	t.Cleanup(tg.client.CloseIdleConnections)
	return tg
}

// notifier returns a notifier of a receiver, at a path. It logs to log, if not nil.
func notifier(t *testing.T, rdb redis.UniversalClient, rc *receiver, path string, log io.Writer) *Notifier {
	t.Helper()
	return notifierOf(t, rdb, target(t, rc.URL+path, rc.Dial), log)
}

func notifierOf(t *testing.T, rdb redis.UniversalClient, tg *Target, log io.Writer) *Notifier {
	t.Helper()
	if log == nil {
		log = io.Discard
	}
	n, err := Start(t.Context(), ledger.New(rdb), tg, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// background runs a notifier until the test ends.
func background(t *testing.T, n *Notifier) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); n.Run(ctx) }()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

// finished makes a batch of three rows and finishes it.
func finished(t *testing.T, rdb redis.UniversalClient, id string) ledger.Batch {
	t.Helper()
	return create(t, rdb, id, time.Hour)
}

// create is finished for a batch that is kept for a time.
func create(t *testing.T, rdb redis.UniversalClient, id string, keep time.Duration) ledger.Batch {
	t.Helper()
	l := ledger.New(rdb)
	b, _, err := l.Create(t.Context(), ledger.Batch{ID: id, Rows: 3, Queue: "default", Expire: keep, Keep: keep, Layout: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	settle(t, rdb, b, 1, 2, ledger.Removed)
	settle(t, rdb, b, 3, 3, ledger.Rejected)
	return b
}

func settle(t *testing.T, rdb redis.UniversalClient, b ledger.Batch, first, last int64, o ledger.Outcome) {
	t.Helper()
	if _, err := ledger.New(rdb).SettleUnsent(t.Context(), b, first, last, ledger.Row{Outcome: o}); err != nil {
		t.Fatal(err)
	}
}

func flush(t *testing.T, n *Notifier) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testutil.WaitLimit)
	defer cancel()
	return n.Flush(ctx)
}

func wantRequests(t *testing.T, rc *receiver, want int) []got {
	t.Helper()
	all := rc.requests()
	if len(all) != want {
		t.Fatalf("%d requests, want %d", len(all), want)
	}
	return all
}

func TestNotices(t *testing.T) {
	redistest.Suite(t, map[string]func(t *testing.T, rdb *redis.Client){
		"what is sent": func(t *testing.T, rdb *redis.Client) {
			rc := receive(t, nil)
			n := notifier(t, rdb, rc, "/hook", nil)
			finished(t, rdb, "batch1")
			if err := flush(t, n); err != nil {
				t.Fatal(err)
			}
			one := wantRequests(t, rc, 1)[0]
			for name, want := range map[string]any{
				"event": "batch.finished", "batch": "batch1", "rows": 3.0, "pending": 0.0, "state": "finished", "done": 2.0, "skipped": 0.0, "failed": 1.0,
				"id": one.header.Get("X-Rollcall-Delivery"),
			} {
				if v := one.field(t, name); v != want {
					t.Errorf("%s is %v, want %v", name, v, want)
				}
			}
			text, _ := one.field(t, "text").(string)
			if !strings.Contains(text, "batch batch1 finished after") || !strings.Contains(text, "3 rows: 2 done, 0 skipped, 1 failed.") {
				t.Errorf("text is %q", text)
			}
			sent, _ := one.field(t, "sent_at").(string)
			if at, err := time.Parse(time.RFC3339, sent); err != nil || !at.Equal(time.Now()) {
				t.Errorf("sent_at is %q", sent)
			}
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write(one.body)
			want := "sha256=" + hex.EncodeToString(mac.Sum(nil))
			if h := one.header; h.Get("X-Rollcall-Signature") != want || h.Get("Content-Type") != "application/json" || h.Get("User-Agent") != "rollcall/test" || h.Get("X-Rollcall-Delivery") == "" {
				t.Errorf("headers are %v, want the signature %s", h, want)
			}
		},
		"results are told": func(t *testing.T, rdb *redis.Client) {
			rc := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
				if n == 0 {
					w.WriteHeader(http.StatusInternalServerError)
				}
			})
			n := notifier(t, rdb, rc, "", nil)
			var mu sync.Mutex
			told := map[Result]int{}
			n.Tell = func(r Result) { mu.Lock(); defer mu.Unlock(); told[r]++ }
			finished(t, rdb, "batch1")
			if err := flush(t, n); err != nil {
				t.Fatal(err)
			}
			finished(t, rdb, "old")
			rdb.HSet(t.Context(), "rollcall:{b:old}:meta", "finished", time.Now().Add(-25*time.Hour).UnixMilli())
			n.since = time.Now().Add(-48 * time.Hour)
			if err := flush(t, n); err != nil {
				t.Fatal(err)
			}
			if told[Sent] != 1 || told[Failed] != 1 || told[GivenUp] != 1 {
				t.Errorf("told are %v", told)
			}
		},
		"a cancelled batch": func(t *testing.T, rdb *redis.Client) {
			rc := receive(t, nil)
			n := notifier(t, rdb, rc, "", nil)
			l := ledger.New(rdb)
			b, _, err := l.Create(t.Context(), ledger.Batch{ID: "b", Rows: 1, Queue: "default", Expire: time.Hour, Keep: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Cancel(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			settle(t, rdb, b, 1, 1, ledger.Cancelled)
			if err := flush(t, n); err != nil {
				t.Fatal(err)
			}
			one := wantRequests(t, rc, 1)[0]
			if text, _ := one.field(t, "text").(string); one.field(t, "state") != "cancelled" || one.field(t, "skipped") != 1.0 || !strings.Contains(text, "was cancelled") {
				t.Errorf("%s", one.body)
			}
		},
		"tried until it is received, under one id": func(t *testing.T, rdb *redis.Client) {
			rc := receive(t, func(n int, w http.ResponseWriter, r *http.Request) {
				switch n {
				case 0:
					w.WriteHeader(http.StatusInternalServerError)
				case 1: // until it is not waited for any longer
					<-r.Context().Done()
				case 2:
					panic(http.ErrAbortHandler)
				case 3:
					http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
				default:
					w.WriteHeader(http.StatusAccepted)
				}
			})
			var log testutil.Buffer
			n := notifier(t, rdb, rc, "", &log)
			finished(t, rdb, "b")
			if err := flush(t, n); err != nil {
				t.Fatal(err)
			}
			all := wantRequests(t, rc, 5)
			for _, r := range all[1:] {
				if r.header.Get("X-Rollcall-Delivery") != all[0].header.Get("X-Rollcall-Delivery") {
					t.Errorf("ids are %v and %v", r.header, all[0].header)
				}
			}
			if s := log.String(); strings.Count(s, "level=WARN") != 1 || strings.Count(s, "level=DEBUG") != 3 || strings.Count(s, "level=INFO") != 1 {
				t.Errorf("the log is\n%s", s)
			}
			if err := flush(t, n); err != nil || len(rc.requests()) != 5 {
				t.Errorf("sent again: %v", err)
			}
		},
		"nobody listens, then somebody does": func(t *testing.T, rdb *redis.Client) {
			rc := receive(t, nil)
			var listens atomic.Bool
			var log testutil.Buffer
			n := notifierOf(t, rdb, target(t, rc.URL, func(ctx context.Context, network, addr string) (net.Conn, error) {
				if !listens.Load() {
					return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
				}
				return rc.Dial(ctx, network, addr)
			}), &log)
			background(t, n)
			finished(t, rdb, "b")
			testutil.Eventually(t, "it was tried again", func() bool { return strings.Contains(log.String(), "level=DEBUG") })
			if s := log.String(); !strings.Contains(s, "connection refused") {
				t.Errorf("the log is\n%s", s)
			}
			listens.Store(true)
			testutil.Eventually(t, "it is received", func() bool { return len(rc.requests()) == 1 })
		},
		"as late as the receiver asks": func(t *testing.T, rdb *redis.Client) {
			var at [2]time.Time
			rc := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
				at[min(n, 1)] = time.Now()
				if n == 0 {
					w.Header().Set("Retry-After", "40")
					w.WriteHeader(http.StatusTooManyRequests)
				}
			})
			n := notifier(t, rdb, rc, "", nil)
			finished(t, rdb, "b")
			if err := flush(t, n); err != nil {
				t.Fatal(err)
			}
			wantRequests(t, rc, 2)
			if d := at[1].Sub(at[0]); d < 40*time.Second || d >= 40*time.Second+pollEvery {
				t.Errorf("sent again after %s", d)
			}
		},
		"not waited for what is not to be tried in time": func(t *testing.T, rdb *redis.Client) {
			rc := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "3000")
				w.WriteHeader(http.StatusServiceUnavailable)
			})
			n := notifier(t, rdb, rc, "", nil)
			b := finished(t, rdb, "b")
			began := time.Now()
			if err := flush(t, n); err == nil {
				t.Error("no error")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2999*time.Second)
			defer cancel()
			if err := n.Deliver(ctx, b.ID); err == nil {
				t.Error("no error")
			}
			wantRequests(t, rc, 1)
			if took := time.Since(began); took != 0 {
				t.Errorf("it took %s", took)
			}
		},
		"tried for a day at growing intervals": func(t *testing.T, rdb *redis.Client) {
			var at []time.Time
			rc := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
				at = append(at, time.Now())
				w.WriteHeader(http.StatusInternalServerError)
			})
			var log testutil.Buffer
			n := notifier(t, rdb, rc, "", &log)
			stop := background(t, n)
			create(t, rdb, "b", 30*time.Hour)
			testutil.Advance(t, 20*time.Minute)
			stop()
			if len(at) < 10 {
				t.Errorf("tried %d times", len(at))
			}
			for i := range len(at) - 1 {
				want := min(firstWait<<i, mostWait)
				if d := at[i+1].Sub(at[i]); d < want*9/10 || d > want*11/10+pollEvery {
					t.Errorf("try %d came %s after the one before, want about %s", i+1, d, want)
				}
			}

			testutil.Advance(t, ledger.NoticeLife)
			n = notifier(t, rdb, rc, "", &log)
			background(t, n)
			tried := len(at)
			testutil.Advance(t, time.Minute)
			if s := log.String(); strings.Count(s, "given up") != 1 || len(at) != tried {
				t.Errorf("tried another %d times; the log is\n%s", len(at)-tried, s)
			}
		},
		"a receiver in use is not forgotten": func(t *testing.T, rdb *redis.Client) {
			n := notifier(t, rdb, receive(t, nil), "", nil)
			key := "rollcall:notify:" + n.receiver
			whole := rdb.TTL(t.Context(), key).Val()
			rdb.Expire(t.Context(), key, 3*time.Hour)
			background(t, n)
			testutil.Advance(t, renewEvery+time.Minute)
			if ttl := rdb.TTL(t.Context(), key).Val(); ttl < whole-time.Hour {
				t.Errorf("it is forgotten in %s", ttl)
			}
		},
		"two notifiers send one": func(t *testing.T, rdb *redis.Client) {
			const batches = 10
			rc := receive(t, nil)
			for range 2 {
				background(t, notifier(t, rdb, rc, "", nil))
			}
			n := notifier(t, rdb, rc, "", nil)
			for i := range batches {
				finished(t, rdb, string(rune('a'+i)))
			}
			if err := flush(t, n); err != nil {
				t.Fatal(err)
			}
			batchesOf := map[any]int{}
			for _, r := range wantRequests(t, rc, batches) {
				batchesOf[r.field(t, "batch")]++
			}
			if len(batchesOf) != batches {
				t.Errorf("%v", batchesOf)
			}
		},
		"two URLs get one each": func(t *testing.T, rdb *redis.Client) {
			rc := receive(t, nil)
			a, b := notifier(t, rdb, rc, "/a", nil), notifier(t, rdb, rc, "/b", nil)
			finished(t, rdb, "x")
			for _, n := range []*Notifier{a, b, a} {
				if err := flush(t, n); err != nil {
					t.Fatal(err)
				}
			}
			all := wantRequests(t, rc, 2)
			if all[0].header.Get("X-Rollcall-Delivery") == all[1].header.Get("X-Rollcall-Delivery") {
				t.Error("they have the same id")
			}
		},
		"killed while it sends": func(t *testing.T, rdb *redis.Client) {
			rc := receive(t, nil)
			n := notifier(t, rdb, rc, "", nil)
			b := finished(t, rdb, "b")
			l := ledger.New(rdb)
			st, err := l.Status(t.Context(), b.ID)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if taken, err := l.TakeNotice(t.Context(), st, n.receiver, hold); err != nil || taken.State != ledger.NoticeMine {
				t.Fatalf("%+v, %v", taken, err)
			}
			// Whoever has taken it up is gone.
			if err := flush(t, n); err != nil {
				t.Fatal(err)
			}
			wantRequests(t, rc, 1)
			if d := time.Since(began); d < hold || d > hold+soon {
				t.Errorf("another sent it after %s", d)
			}
		},
		"told to end while it sends": func(t *testing.T, rdb *redis.Client) {
			arrived := make(chan struct{})
			rc := receive(t, func(n int, _ http.ResponseWriter, r *http.Request) {
				if n == 0 {
					close(arrived)
					<-r.Context().Done()
				}
			})
			n := notifier(t, rdb, rc, "", nil)
			stop := background(t, n)
			finished(t, rdb, "b")
			<-arrived
			began := time.Now()
			stop()
			if d := time.Since(began); d != moment {
				t.Errorf("it took %s to end", d)
			}
			if rdb.Exists(t.Context(), "rollcall:finished").Val() != 1 {
				t.Error("the batch has left the list")
			}
		},
		"finished again is told again": func(t *testing.T, rdb *redis.Client) {
			rc := receive(t, nil)
			n := notifier(t, rdb, rc, "", nil)
			background(t, n)
			b := finished(t, rdb, "b")
			testutil.Eventually(t, "the first", func() bool { return len(rc.requests()) == 1 })
			testutil.Advance(t, time.Second)
			if _, err := ledger.New(rdb).Reopen(t.Context(), b, []ledger.Outcome{ledger.Rejected}); err != nil {
				t.Fatal(err)
			}
			settle(t, rdb, b, 3, 3, ledger.Removed)
			testutil.Eventually(t, "the second", func() bool { return len(rc.requests()) == 2 })
			all := rc.requests()
			if all[0].field(t, "failed") != 1.0 || all[1].field(t, "failed") != 0.0 || all[0].field(t, "id") == all[1].field(t, "id") {
				t.Errorf("%s, then %s", all[0].body, all[1].body)
			}
		},
		"what finished before the first start is not told": func(t *testing.T, rdb *redis.Client) {
			rc := receive(t, nil)
			old := finished(t, rdb, "old")
			testutil.Advance(t, time.Second)
			n := notifier(t, rdb, rc, "", nil)
			finished(t, rdb, "new")
			if err := flush(t, n); err != nil {
				t.Fatal(err)
			}
			if err := n.Deliver(t.Context(), old.ID); err != nil {
				t.Fatal(err)
			}
			if one := wantRequests(t, rc, 1)[0]; one.field(t, "batch") != "new" {
				t.Errorf("%s", one.body)
			}
		},
		"what finished between two starts is told": func(t *testing.T, rdb *redis.Client) {
			rc := receive(t, nil)
			notifier(t, rdb, rc, "", nil)
			finished(t, rdb, "meanwhile")
			if err := flush(t, notifier(t, rdb, rc, "", nil)); err != nil {
				t.Fatal(err)
			}
			wantRequests(t, rc, 1)
		},
		"many batches are forgotten but not sent again": func(t *testing.T, rdb *redis.Client) {
			rc := receive(t, nil)
			n := notifier(t, rdb, rc, "", nil)
			for i := range 30 {
				finished(t, rdb, "b"+string(rune('a'+i%26))+string(rune('a'+i/26)))
				if err := flush(t, n); err != nil {
					t.Fatal(err)
				}
			}
			wantRequests(t, rc, 30)
		},
	})
}

// TestCluster: each batch's notices are where the batch is.
func TestCluster(t *testing.T) {
	rdb := redistest.StartCluster(t, 3).Client
	rc := receive(t, nil)
	n := notifier(t, rdb, rc, "", nil)
	background(t, notifier(t, rdb, rc, "", nil))
	for i := range 10 {
		finished(t, rdb, string(rune('a'+i)))
	}
	if err := flush(t, n); err != nil {
		t.Fatal(err)
	}
	wantRequests(t, rc, 10)
}

// TestRedisKeepsNoURL: neither the URL nor the secret is in Redis.
func TestRedisKeepsNoURL(t *testing.T) {
	rdb := redistest.Any(t)
	rc := receive(t, nil)
	n := notifier(t, rdb, rc, "/T0/path?code=code", nil)
	finished(t, rdb, "b")
	if err := flush(t, n); err != nil {
		t.Fatal(err)
	}
	keys, err := rdb.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		dump := key + rdb.Dump(t.Context(), key).Val()
		for _, s := range []string{"127.0.0.1", "T0", "code", secret} {
			if strings.Contains(dump, s) {
				t.Errorf("%s holds %q", key, s)
			}
		}
		if ttl := rdb.TTL(t.Context(), key).Val(); (strings.Contains(key, "notice") || strings.Contains(key, "notify")) && ttl <= 0 {
			t.Errorf("%s does not expire", key)
		}
	}
}

func TestNewTarget(t *testing.T) {
	for _, bad := range []string{"", "hooks.test/s3cret", "ftp://hooks.test/s3cret", "https:///s3cret", "https://u:s3cret@hooks.test:port/", "http://%zz/s3cret", "https://hooks.test/s3cret\x7f"} {
		if _, err := NewTarget(bad, nil, ""); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	tg, err := NewTarget("HTTPS://u:pw@hooks.test:8443/s3cret?x=s3cret", nil, "")
	if err != nil || tg.Host() != "hooks.test:8443" || tg.Signs() {
		t.Errorf("%v, %v", tg, err)
	}
}

// TestReasons: what is said of a failure holds nothing of the URL but its host, and
// nothing of the answer.
func TestReasons(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(n int, w http.ResponseWriter, r *http.Request)
		why    string
	}{
		"status": {func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Error(w, r.URL.String(), http.StatusForbidden)
		}, "answered 403 Forbidden"},
		"redirect": {func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/s3cret/more", http.StatusFound)
		}, "answered 302: redirects are not followed, name the address itself"},
		"silence": {func(_ int, _ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
		}, "no answer within 10s"},
		"no HTTP": {func(_ int, w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 "+r.URL.String()+"\r\n\r\n")
				_ = conn.Close()
			}
		}, "the connection broke, or the answer is not HTTP"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rc := receive(t, test.answer)
				f := target(t, rc.URL+"/s3cret", rc.Dial).post(t.Context(), "id", []byte("{}"))
				if f == nil || f.why != test.why {
					t.Errorf("%+v, want %q", f, test.why)
				}
				wantRequests(t, rc, 1)
			})
		})
	}
	t.Run("certificate", func(t *testing.T) {
		rc := httptest.NewTLSServer(http.NotFoundHandler())
		t.Cleanup(rc.Close)
		rc.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
		if f := target(t, rc.URL+"/s3cret", nil).post(t.Context(), "id", nil); f == nil || !strings.Contains(f.why, "certificate") || strings.Contains(f.why, "s3cret") {
			t.Errorf("%+v", f)
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		addr := testutil.FreeAddr(t)
		if f := target(t, "http://"+addr+"/s3cret", nil).post(t.Context(), "id", nil); f == nil || !strings.Contains(f.why, addr) || !strings.Contains(f.why, "connection refused") || strings.Contains(f.why, "s3cret") {
			t.Errorf("%+v", f)
		}
	})
}

// TestLongAnswer: an answer without end is not read to its end.
func TestLongAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rc := receive(t, func(_ int, w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(bytes.Repeat([]byte("x"), 32<<10)); err != nil {
					return
				}
				testutil.Advance(t, time.Millisecond)
			}
		})
		began := time.Now()
		if f := target(t, rc.URL, rc.Dial).post(t.Context(), "id", nil); f != nil || time.Since(began) > 10*time.Millisecond {
			t.Errorf("%+v after %s", f, time.Since(began))
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-5": 0, "0": 0, " 30 ": 30 * time.Second, "86400": maxRetryAfter, "99999999999999999999": 0,
		now.Add(time.Minute).Format(http.TimeFormat): time.Minute, now.Add(-time.Minute).Format(http.TimeFormat): 0, now.Add(48 * time.Hour).Format(http.TimeFormat): maxRetryAfter,
	} {
		if d := retryAfter(header, now); d != want {
			t.Errorf("%q: %s, want %s", header, d, want)
		}
	}
}

func TestBackoff(t *testing.T) {
	for failures, want := range map[int64]time.Duration{0: time.Second, 3: 8 * time.Second, 8: 256 * time.Second, 9: mostWait, 100: mostWait} {
		if d := backoff(failures); d < want*9/10 || d > want*11/10 {
			t.Errorf("after %d failures %s, want about %s", failures, d, want)
		}
	}
}
