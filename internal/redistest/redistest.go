// Package redistest gives tests a Redis of their own: a real redis-server where
// one is on PATH, miniredis everywhere. It is imported by tests only.
package redistest

import (
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/redisconn"
)

// RequireEnv names the environment variable that, when it is "1", turns a
// missing redis-server into a failure instead of a run on miniredis only.
const RequireEnv = "ROLLCALL_REQUIRE_REDIS"

// AtOnce lets so many parallel tests run at once, unless -parallel says otherwise:
// more than there are processors, as tests with servers wait most of their time.
// It is for TestMain.
func AtOnce(n int) {
	flag.Parse()
	wanted := false
	flag.Visit(func(f *flag.Flag) { wanted = wanted || f.Name == "test.parallel" })
	if wanted {
		return
	}
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
		panic(err)
	}
}

// Each runs test once on miniredis and once on a real server, if there is one.
// Both start empty.
func Each(t *testing.T, test func(t *testing.T, rdb *redis.Client)) {
	t.Helper()
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		test(t, Mini(t))
	})
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, StartServer(t).Client(t))
	})
}

// Suite runs each behaviour with Each, all at the same time.
func Suite(t *testing.T, behaviours map[string]func(t *testing.T, rdb *redis.Client)) {
	t.Helper()
	for name, test := range behaviours {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Each(t, test)
		})
	}
}

// Mini returns a client of a fresh miniredis whose keys expire by the clock.
func Mini(t testing.TB) *redis.Client {
	t.Helper()
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return client(t, "redis://"+m.Addr())
}

// client opens a URL as the commands do.
func client(t testing.TB, url string) *redis.Client {
	t.Helper()
	o, err := redisconn.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	rdb, ok := o.Client().(*redis.Client)
	if !ok {
		t.Fatalf("%s is no single server", url)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// Any returns a real server's client if there is one, else miniredis.
func Any(t testing.TB) *redis.Client {
	t.Helper()
	if !available(t) {
		return Mini(t)
	}
	return StartServer(t).Client(t)
}

func available(t testing.TB) bool {
	t.Helper()
	_, err := exec.LookPath("redis-server")
	if err != nil && os.Getenv(RequireEnv) == "1" {
		t.Fatalf("%s=1, but redis-server is not on PATH", RequireEnv)
	}
	return err == nil
}

// Server is a redis-server process with a directory and a unix socket of its
// own. It keeps its data (append-only file) over Stop and Start.
type Server struct {
	t      testing.TB
	dir    string
	socket string
	args   []string
	cmd    *exec.Cmd
	admin  *redis.Client
}

// StartServer starts a real redis-server, or skips the test where there is
// none. Extra arguments go to its command line.
func StartServer(t testing.TB, args ...string) *Server {
	t.Helper()
	if !available(t) {
		t.Skip("redis-server is not on PATH")
	}
	// Not t.TempDir: a unix socket's path must be short.
	dir, err := os.MkdirTemp("", "rollcall-redis-")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, dir: dir, socket: filepath.Join(dir, "s"), args: args}
	s.admin = s.Client(t)
	t.Cleanup(func() {
		s.Kill()
		_ = os.RemoveAll(dir)
	})
	s.Start()
	return s
}

// URL names the server for --redis.
func (s *Server) URL() string { return "unix://" + s.socket }

// Client returns a new client of the server.
func (s *Server) Client(t testing.TB) *redis.Client {
	t.Helper()
	return client(t, s.URL())
}

// Start starts the process (again) and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	args := append([]string{
		"--port", "0", "--unixsocket", s.socket, "--dir", s.dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning",
	}, s.args...)
	s.cmd = command(args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for s.admin.Ping(ctx).Err() != nil {
		select {
		case <-ctx.Done():
			s.t.Fatal("redis-server did not answer within 20 s")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func command(args ...string) *exec.Cmd { return exec.Command("redis-server", args...) }

// Kill ends the process at once, as a crash would.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// FreeAddr returns a loopback address that was free a moment ago.
func FreeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Eventually waits until cond holds, and fails the test after limit.
func Eventually(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for !cond() {
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				t.Fatalf("not within %s: %s", limit, what)
			}
		case <-time.After(5 * time.Millisecond):
		}
	}
}
