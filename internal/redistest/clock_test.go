package redistest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/testutil"
)

func TestParseCommand(t *testing.T) {
	for name, args := range map[string][]string{
		"one argument":      {"PING"},
		"several":           {"SET", "key", "value", "EX", "10"},
		"an empty one":      {"SET", "key", ""},
		"line ends inside":  {"SET", "a\r\nb", "$3\r\n*1\r\n"},
		"more than 9 bytes": {"SET", "key", strings.Repeat("x", 1234)},
		"more than 9":       slices.Repeat([]string{"DEL"}, 12),
	} {
		sent := appendCommand(nil, args)
		rest := appendCommand(nil, []string{"PING"})
		got, size := parseCommand(slices.Concat(sent, rest))
		if !slices.Equal(got, args) || size != len(sent) {
			t.Errorf("%s: %q of %d bytes, want %q of %d", name, got, size, args, len(sent))
		}
		for n := range len(sent) {
			if got, size := parseCommand(sent[:n]); size != 0 {
				t.Fatalf("%s: the first %d bytes are held for %q", name, n, got)
			}
		}
	}
}

func TestParseCommandRejectsOthers(t *testing.T) {
	for _, sent := range []string{"PING\r\n", "*x\r\n", "*1\r\n:4\r\nPING\r\n"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is held for a command", sent)
				}
			}()
			parseCommand([]byte(sent))
		}()
	}
}

// recorder is a connection that keeps what is written.
type recorder struct {
	net.Conn
	sent bytes.Buffer
}

func (r *recorder) Write(p []byte) (int, error) { return r.sent.Write(p) }

// record returns the commands that are sent for those that a client writes, piece by
// piece.
func record(t *testing.T, pieces ...[]byte) (sent [][]string) {
	t.Helper()

	r := new(recorder)
	c := newFakeConn(r)
	for _, p := range pieces {
		if n, err := c.Write(p); n != len(p) || err != nil {
			t.Fatalf("%d of %d bytes were written: %v", n, len(p), err)
		}
	}
	for left := r.sent.Bytes(); len(left) > 0; {
		args, size := parseCommand(left)
		if size == 0 {
			t.Fatalf("half a command was sent: %q", left)
		}
		sent, left = append(sent, args), left[size:]
	}
	return sent
}

func equal(a, b [][]string) bool { return slices.EqualFunc(a, b, slices.Equal[[]string]) }

func TestWriteSendsCommandsInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written []byte
		for _, c := range [][]string{{"SET", "k", "a\r\nb"}, {"TIME"}, {"GET", "k"}} {
			written = appendCommand(written, c)
		}
		want := [][]string{{"SET", "k", "a\r\nb"}, {"eval", prologue + callScript, "0", "TIME", "946684800", "0"}, {"GET", "k"}}
		for cut := range len(written) {
			if sent := record(t, written[:cut], written[cut:]); !equal(sent, want) {
				t.Fatalf("cut at %d: %q, want %q", cut, sent, want)
			}
		}

		var bytewise [][]byte
		for i := range written {
			bytewise = append(bytewise, written[i:i+1])
		}
		if sent := record(t, bytewise...); !equal(sent, want) {
			t.Errorf("byte by byte: %q, want %q", sent, want)
		}
	})
}

func TestWriteGivesScriptsTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		testutil.Advance(t, 90*time.Second+250*time.Microsecond)
		const (
			plain = "return 'a script without time'"
			timed = "local t = redis.call('TIME') return t[1] -- of this test"
		)
		sent, sentPlain := prologue+timed, prologue+plain
		scripts.Delete(digest(timed)) // known if the test has run before
		for _, c := range []struct {
			what          string
			written, want []string
		}{
			{"unknown script", []string{"evalsha", digest(timed), "1", "k", "a"}, []string{"evalsha", unknownScript, "1", "k", "a", "946684890", "250"}},
			{"its text", []string{"eval", timed, "1", "k", "a"}, []string{"eval", sent, "1", "k", "a", "946684890", "250"}},
			{"known script", []string{"EVALSHA", digest(timed), "0"}, []string{"eval", sent, "0", "946684890", "250"}},
			{"text without time", []string{"EVAL", plain, "0", "a"}, []string{"EVAL", sentPlain, "0", "a", "946684890", "250"}},
			{"text that is only loaded", []string{"script", "load", plain}, []string{"echo", digest(plain)}},
			{"known script without time", []string{"evalsha", digest(plain), "0", "a"}, []string{"eval", sentPlain, "0", "a", "946684890", "250"}},
		} {
			if got := record(t, appendCommand(nil, c.written)); !equal(got, [][]string{c.want}) {
				t.Errorf("%s: sent %q, want %q", c.what, got, c.want)
			}
		}
	})
}

// brokenConn is a connection that is lost.
type brokenConn struct{ net.Conn }

func (brokenConn) Write([]byte) (int, error) { return 0, net.ErrClosed }

func TestWriteReportsLostConnection(t *testing.T) {
	c := newFakeConn(brokenConn{})
	if _, err := c.Write(appendCommand(nil, []string{"PING"})); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

var nowScript = redis.NewScript("local t = redis.call('TIME') return {t[1] * 1000000 + t[2], #ARGV, ARGV[1] or ''}")

func TestRedisSeesFakeTime(t *testing.T) {
	Each(t, func(t *testing.T, rdb *redis.Client) {
		for range 3 { // first the script is unknown
			for _, args := range [][]any{nil, {"one"}, {"one", "two"}} {
				got, err := nowScript.Run(t.Context(), rdb, []string{"k"}, args...).Slice()
				if err != nil {
					t.Fatal(err)
				}
				if now := time.Now().UnixMicro(); got[0] != now || got[1] != int64(len(args)) {
					t.Errorf("a script with arguments %v sees %v, it is %d", args, got, now)
				}
				if len(args) > 0 && got[2] != args[0] {
					t.Errorf("a script with arguments %v sees %v", args, got)
				}
			}
			if now, err := rdb.Time(t.Context()).Result(); err != nil || !now.Equal(time.Now()) {
				t.Errorf("TIME: %s, %v; it is %s", now, err, time.Now())
			}
			testutil.Advance(t, 36*time.Hour+123456*time.Microsecond)
		}
	})
}

func TestPipelinesSeeFakeTime(t *testing.T) {
	Each(t, func(t *testing.T, rdb *redis.Client) {
		testutil.Advance(t, 1500*time.Millisecond)
		nowScript.Eval(t.Context(), rdb, nil)
		for name, pipelined := range map[string]func(context.Context, func(redis.Pipeliner) error) ([]redis.Cmder, error){
			"pipeline": rdb.Pipelined, "transaction": rdb.TxPipelined,
		} {
			var seen *redis.Cmd
			var now *redis.TimeCmd
			var count *redis.IntCmd
			_, err := pipelined(t.Context(), func(p redis.Pipeliner) error {
				seen = nowScript.EvalSha(t.Context(), p, nil)
				now = p.Time(t.Context())
				count = p.Incr(t.Context(), name)
				return nil
			})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := seen.Val().([]any)[0]; got != time.Now().UnixMicro() || !now.Val().Equal(time.Now()) || count.Val() != 1 {
				t.Errorf("%s: a script sees %v, TIME is %s, count is %d", name, got, now.Val(), count.Val())
			}
		}
	})
}

// TestScriptOfRealTime: the server knows a script from a test with real time, and a
// test with a fake clock sees its own all the same.
func TestScriptOfRealTime(t *testing.T) {
	script := redis.NewScript("local t = redis.call('TIME') return t[1] .. ' of both kinds of test'")
	server := Any(t)
	if said, err := script.Run(t.Context(), server, nil).Text(); err != nil || strings.HasPrefix(said, "9466848") {
		t.Fatal(said, err)
	}
	Each(t, func(t *testing.T, rdb *redis.Client) {
		if said, err := script.Run(t.Context(), rdb, nil).Text(); err != nil || said != "946684800 of both kinds of test" {
			t.Error(said, err)
		}
	})
	if said, err := script.Run(t.Context(), server, nil).Text(); err != nil || strings.HasPrefix(said, "9466848") {
		t.Error(said, err)
	}
}

// TestSubscriberWaits: a subscriber to whom nobody sends lets time pass, and ends when
// it is closed.
func TestSubscriberWaits(t *testing.T) {
	Each(t, func(t *testing.T, rdb *redis.Client) {
		for _, subscribe := range []func(context.Context, ...string) *redis.PubSub{rdb.Subscribe, rdb.PSubscribe} {
			sub := subscribe(t.Context(), "news")
			if _, err := sub.Receive(t.Context()); err != nil {
				t.Fatal(err)
			}
			messages := sub.Channel()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for m := range messages {
					t.Errorf("a message: %v", m)
				}
			}()
			testutil.Advance(t, time.Hour)
			if err := sub.Close(); err != nil {
				t.Error(err)
			}
			<-ended
		}
	})
}

// TestKeysOutliveRealTime checks that keys show the life they were given, on both kinds
// of Redis, and that those of a real server are kept for much longer.
func TestKeysOutliveRealTime(t *testing.T) {
	expire := redis.NewScript("redis.call('set', KEYS[1], 1, 'ex', 3600) redis.call('PEXPIRE', KEYS[2], 3600000) return redis.call('PTTL', KEYS[1])")
	Each(t, func(t *testing.T, rdb *redis.Client) {
		ctx := t.Context()
		rdb.Set(ctx, "plain", 1, time.Hour)
		rdb.Set(ctx, "millis", 1, time.Hour+time.Millisecond)
		rdb.Set(ctx, "kept", 1, 0)
		rdb.Set(ctx, "later", 1, 0)
		rdb.Expire(ctx, "later", time.Hour)
		rdb.Set(ctx, "b", 1, 0)
		left, err := expire.Run(ctx, rdb, []string{"a", "b"}).Int64()
		if err != nil || left <= 0 || left > 3600000 {
			t.Errorf("a script sees %d ms left: %v", left, err)
		}

		for key, most := range map[string]time.Duration{
			"plain": time.Hour, "millis": time.Hour + time.Millisecond, "kept": -1, "gone": -2,
			"later": time.Hour, "a": time.Hour, "b": time.Hour,
		} {
			got, err := rdb.PTTL(ctx, key).Result()
			if err != nil || got > most || most > 0 && got <= 0 || most < 0 && got != most {
				t.Errorf("%s lives for %s (%v), want at most %s", key, got, err, most)
			}
		}
		if ok, err := rdb.SetNX(ctx, "plain", 2, time.Second).Result(); ok || err != nil {
			t.Errorf("a key that exists was set: %t, %v", ok, err)
		}
	})

	rdb := Any(t)
	if rdb.Options().Network != "unix" {
		return // no real server
	}
	conn, err := dialFake(t.Context(), "unix", rdb.Options().Addr)
	if err != nil {
		t.Fatal(err)
	}
	fake := redis.NewClient(&redis.Options{Dialer: func(context.Context, string, string) (net.Conn, error) { return conn, nil }, Addr: "127.0.0.1:1", DB: rdb.Options().DB})
	defer fake.Close()
	if err := fake.Set(t.Context(), "k", 1, time.Second).Err(); err != nil {
		t.Fatal(err)
	}
	if left, err := rdb.PTTL(t.Context(), "k").Result(); err != nil || left < 24*time.Hour {
		t.Errorf("the real server keeps the key for %s (%v)", left, err)
	}
}
