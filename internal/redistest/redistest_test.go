package redistest

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/testutil"
)

func TestEachStartsEmptyOnAFakeClock(t *testing.T) {
	for range 3 { // the second has a database that the first has used
		kinds := make(chan string, 2)
		t.Run("round", func(t *testing.T) {
			Each(t, func(t *testing.T, rdb *redis.Client) {
				kinds <- t.Name()[strings.LastIndexByte(t.Name(), '/')+1:]
				ctx, start := t.Context(), time.Now()
				if start.Unix() != 946684800 {
					t.Errorf("the test begins at %s", start)
				}
				if n, err := rdb.DBSize(ctx).Result(); n != 0 || err != nil {
					t.Errorf("the database has %d keys: %v", n, err)
				}
				for i := range 100 {
					if err := rdb.Set(ctx, strconv.Itoa(i), "x", 0).Err(); err != nil {
						t.Fatal(err)
					}
				}
				if passed := time.Since(start); passed != 0 {
					t.Errorf("while Redis worked %s passed", passed)
				}
				testutil.Advance(t, 1000*time.Hour)
				if n, err := rdb.DBSize(ctx).Result(); n != 100 || err != nil {
					t.Errorf("the database has %d keys: %v", n, err)
				}
			})
		})
		want := 1
		if available(t) {
			want = 2
		}
		if close(kinds); len(kinds) != want {
			t.Errorf("%d kinds of Redis, want %d", len(kinds), want)
		}
		if kind := <-kinds; kind != "miniredis" && kind != "redis" {
			t.Errorf("ran on %q", kind)
		}
	}
}

func TestSuiteKeepsTestsApart(t *testing.T) {
	all := map[string]func(*testing.T, *redis.Client){}
	for i := range 4 {
		all[strconv.Itoa(i)] = func(t *testing.T, rdb *redis.Client) {
			for n := range 20 {
				testutil.Advance(t, time.Minute)
				if got, err := rdb.Incr(t.Context(), "n").Result(); got != int64(n+1) || err != nil {
					t.Fatalf("%d, want %d: %v", got, n+1, err)
				}
			}
		}
	}
	Suite(t, all)
}

func TestClientsOfOneTestShareItsDatabase(t *testing.T) {
	Each(t, func(t *testing.T, rdb *redis.Client) {
		other := redis.NewClient(rdb.Options())
		t.Cleanup(func() { _ = other.Close() })
		if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if v, err := other.Get(t.Context(), "k").Result(); v != "v" || err != nil {
			t.Error(v, err)
		}
	})
}

func TestMuchAtOnce(t *testing.T) {
	Each(t, func(t *testing.T, rdb *redis.Client) {
		large := strings.Repeat("x", 1<<18)
		values := make([]*redis.StringCmd, 8)
		_, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
			for i := range values {
				p.Set(t.Context(), strconv.Itoa(i), large, 0)
				values[i] = p.Get(t.Context(), strconv.Itoa(i))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if v.Val() != large {
				t.Fatalf("%d bytes came back of %d", len(v.Val()), len(large))
			}
		}
	})
}

// TestManyCallersAtOnce has more callers than a client has connections by default, in
// one test after another: what they wait with must not go from test to test.
func TestManyCallersAtOnce(t *testing.T) {
	for range 2 {
		t.Run("", func(t *testing.T) {
			Each(t, func(t *testing.T, rdb *redis.Client) {
				var all sync.WaitGroup
				for range 60 {
					all.Go(func() {
						for range 3 {
							_, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
								p.Incr(t.Context(), "n")
								return nil
							})
							if err = errors.Join(err, rdb.Incr(t.Context(), "n").Err()); err != nil {
								t.Error(err)
							}
							testutil.Advance(t, time.Millisecond)
						}
					})
				}
				all.Wait()
				if n, err := rdb.Get(t.Context(), "n").Int(); n != 360 || err != nil {
					t.Errorf("%d of 360: %v", n, err)
				}
			})
		})
	}
}

func TestFakeKeysExpire(t *testing.T) {
	Fake(t, func(t *testing.T, rdb *redis.Client) {
		if err := rdb.Set(t.Context(), "k", "v", time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
		testutil.Advance(t, time.Hour-time.Second)
		if left, err := rdb.TTL(t.Context(), "k").Result(); left != time.Second || err != nil {
			t.Errorf("%s of the key are left: %v", left, err)
		}
		testutil.Advance(t, time.Second)
		if v, err := rdb.Get(t.Context(), "k").Result(); !errors.Is(err, redis.Nil) {
			t.Errorf("the key is there: %s, %v", v, err)
		}
	})
}

func TestAnyIsEmpty(t *testing.T) {
	for range 3 {
		t.Run("", func(t *testing.T) {
			rdb := Any(t)
			if n, err := rdb.DBSize(t.Context()).Result(); n != 0 || err != nil {
				t.Errorf("the database has %d keys: %v", n, err)
			}
			if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
				t.Error(err)
			}
		})
	}
}

// failing is a test that is expected to fail.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestServerIsRequired(t *testing.T) {
	t.Setenv("PATH", "")
	t.Setenv(RequireEnv, "")
	if available(t) {
		t.Error("a server is found without PATH")
	}
	if err := Any(t).Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Error("without a server:", err)
	}

	t.Setenv(RequireEnv, "1")
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		available(f)
	}()
	<-done
	if !strings.Contains(f.said, RequireEnv) {
		t.Errorf("it said %q", f.said)
	}
}

func TestServerKeepsItsData(t *testing.T) {
	t.Parallel()
	s, other := StartServer(t, "--maxmemory-policy", "allkeys-lru"), StartServer(t)
	rdb := s.Client(t)
	if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := other.Client(t).DBSize(t.Context()).Result(); n != 0 || err != nil {
		t.Errorf("another server has %d keys: %v", n, err)
	}

	s.Kill()
	s.Kill() // it is dead already
	if err := rdb.Ping(t.Context()).Err(); err == nil {
		t.Error("a dead server answers")
	}
	s.Start()
	if v, err := rdb.Get(t.Context(), "k").Result(); v != "v" || err != nil {
		t.Error(v, err)
	}
	if policy := rdb.ConfigGet(t.Context(), "maxmemory-policy").Val()["maxmemory-policy"]; policy != "allkeys-lru" {
		t.Errorf("its policy is %q", policy)
	}
}

func TestServerThatDoesNotStart(t *testing.T) {
	t.Parallel()
	if !available(t) {
		t.Skip("redis-server is not on PATH")
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	for says, args := range map[string][]string{"in use": {"--bind", "127.0.0.1", "--port", port}, "no-such-setting": {"--no-such-setting", "1"}} {
		if s, err := newServer(args...); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("with %v: %v", args, err)
			if err == nil {
				s.remove()
			}
		}
	}
}

func TestTCPServerKeepsItsAddress(t *testing.T) {
	t.Parallel()
	s, addr := StartTCP(t)
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { _ = rdb.Close() })
	for range 2 {
		if n, err := rdb.Incr(t.Context(), "n").Result(); n == 0 || err != nil {
			t.Error(n, err)
		}
		s.Kill()
		s.Start()
	}
	if n, err := rdb.Get(t.Context(), "n").Int(); n != 2 || err != nil {
		t.Error(n, err)
	}
}

func TestEagerConnEndsWithItsPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rdb := Mini(t)
		conn, err := rdb.Options().Dialer(t.Context(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte("x")); err == nil {
			t.Error("written to a closed connection")
		}
	})
}
