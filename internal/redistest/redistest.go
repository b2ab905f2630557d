// Package redistest gives tests a Redis: a real redis-server where one is on
// PATH, miniredis everywhere. Start reading at Each. Only tests import it.
//
// Behaviours run on a fake clock (testing/synctest): time stands still while
// anything works, Redis included, and jumps ahead when all wait. A wait of minutes
// costs nothing, and no result depends on how fast the machine is. A test in such a
// bubble must not open sockets, start processes, or call t.Run and t.Parallel.
package redistest

import (
	"context"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisconn"
	"rollcall/internal/testutil"
)

// RequireEnv names the environment variable that, when it is "1", turns a
// missing redis-server into a failure instead of a run on miniredis only.
const RequireEnv = "ROLLCALL_REQUIRE_REDIS"

// Each runs test on a fake clock, once on miniredis and once on a real server if
// there is one. Both start empty.
func Each(t *testing.T, test func(t *testing.T, rdb *redis.Client)) {
	t.Helper()

	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		Fake(t, test)
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		n := lease(t)
		inBubble(t, test, func(t *testing.T) *redis.Client { return shared.fakeClient(t, n) })
	})
}

// Suite runs each behaviour with Each, all in parallel.
func Suite(t *testing.T, behaviours map[string]func(t *testing.T, rdb *redis.Client)) {
	t.Helper()

	for name, test := range behaviours {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Each(t, test)
		})
	}
}

// Either runs test on a fake clock, on a real server if there is one, else on
// miniredis. It is for tests to which the kind of Redis makes no difference: a real
// server takes less of the processor than miniredis, which interprets each script.
func Either(t *testing.T, test func(t *testing.T, rdb *redis.Client)) {
	t.Helper()

	if !available(t) {
		Fake(t, test)
		return
	}
	n := lease(t)
	inBubble(t, test, func(t *testing.T) *redis.Client { return shared.fakeClient(t, n) })
}

// Fake runs test on a fake clock with miniredis alone. It is for what Each cannot
// do on a real server: keys that expire.
func Fake(t *testing.T, test func(t *testing.T, rdb *redis.Client)) {
	t.Helper()
	inBubble(t, test, func(t *testing.T) *redis.Client { return Mini(t) })
}

// drainTime is how long goroutines may outlive a test on its fake clock. It takes no
// real time.
const drainTime = 2 * time.Hour

func inBubble(t *testing.T, test func(*testing.T, *redis.Client), open func(*testing.T) *redis.Client) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		rdb := open(t)
		t.Cleanup(func() { testutil.Advance(t, drainTime) })
		test(t, rdb)
	})
}

// Mini returns a client of a fresh miniredis whose keys expire as time passes. No
// socket is involved, so it works on a fake clock, too.
func Mini(t testing.TB) *redis.Client {
	t.Helper()

	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	t.Cleanup(m.Close)

	return newClient(t, "redis://127.0.0.1:1", func(context.Context, string, string) (net.Conn, error) {
		conn, err := m.Dial()
		if err != nil {
			return nil, err
		}
		return newEagerConn(conn), nil
	})
}

// Any returns a client of the package's real server if there is one, else of a
// miniredis. It is empty. Time is real.
func Any(t testing.TB) *redis.Client {
	t.Helper()

	if !available(t) {
		return Mini(t)
	}
	return newClient(t, shared.get(t).databaseURL(lease(t)), nil)
}

// newClient returns a client of a URL with the options that the commands set, and
// closes it when the test ends.
func newClient(t testing.TB, url string, dial func(context.Context, string, string) (net.Conn, error)) *redis.Client {
	t.Helper()

	parsed, err := redisconn.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	rdb, ok := parsed.Client().(*redis.Client)
	if !ok {
		t.Fatalf("%s is no single server", url)
	}
	if dial != nil {
		options := rdb.Options()
		options.Dialer = dial
		options.PoolSize, options.PipelinePoolSize, options.MaxConcurrentDials = manyConns, manyConns, manyConns
		_ = rdb.Close()
		rdb = redis.NewClient(options)
	}
	t.Cleanup(func() { _ = rdb.Close() })

	return rdb
}

// manyConns is how many connections a client with a fake clock has at most. None of
// its callers waits for one: go-redis waits with timers that it shares among all
// clients, and a timer belongs to the test that has made it.
const manyConns = 1000

// available reports whether there is a redis-server to start.
func available(t testing.TB) bool {
	t.Helper()

	_, err := exec.LookPath("redis-server")
	if err != nil && os.Getenv(RequireEnv) == "1" {
		t.Fatalf("%s=1, but redis-server is not on PATH", RequireEnv)
	}
	return err == nil
}

// eagerConn accepts all that is written at once, as a socket with a large buffer
// does. Without it both sides of a net.Pipe could wait for the other to read.
type eagerConn struct {
	net.Conn

	mu      sync.Mutex
	changed *sync.Cond
	pending []byte
	closed  bool
}

func newEagerConn(conn net.Conn) *eagerConn {
	c := &eagerConn{Conn: conn}
	c.changed = sync.NewCond(&c.mu)
	go c.flush()

	return c
}

func (c *eagerConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.closed {
		return 0, net.ErrClosed
	}
	c.pending = append(c.pending, p...)
	c.changed.Signal()

	return len(p), nil
}

func (c *eagerConn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.changed.Signal()
	c.mu.Unlock()

	return c.Conn.Close()
}

// flush writes what is pending until the connection is closed.
func (c *eagerConn) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()

	for {
		for len(c.pending) == 0 && !c.closed {
			c.changed.Wait()
		}
		if c.closed {
			return
		}
		next := c.pending
		c.pending = nil

		c.mu.Unlock()
		_, err := c.Conn.Write(next)
		c.mu.Lock()
		if err != nil {
			c.closed = true
		}
	}
}
