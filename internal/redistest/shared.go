package redistest

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"

	"rollcall/internal/testutil"

	"github.com/redis/go-redis/v9"
)

// databases is how many databases the package's server has. Each test gets one of
// its own.
const databases = 4096

// shared is the server of all tests of a package that need no server of their own.
var shared sharedServer

type sharedServer struct {
	mu     sync.Mutex
	server *Server
	free   []int // databases that no test uses, all of them empty
}

// atOnce is how many parallel tests of a package run at once: more than there are
// processors, as a test that waits for a real server uses none.
const atOnce = 6

// Main runs the tests of a package and stops what they share. A package whose tests
// use Each, Suite or Any calls it from TestMain.
func Main(m *testing.M) { os.Exit(runMain(m)) }

func runMain(m *testing.M) int {
	testutil.SetParallel(atOnce)

	// The first look-up makes what all others use, and must not be one of a test with
	// a fake clock, to which all that it makes belongs.
	_, _ = net.DefaultResolver.LookupHost(context.Background(), "localhost")

	defer shared.stop()
	shared.mu.Lock()
	for i := range databases {
		shared.free = append(shared.free, databases-1-i)
	}
	shared.mu.Unlock()

	return m.Run()
}

func (s *sharedServer) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.server != nil {
		s.server.remove()
	}
}

// get starts the server when it is first needed.
func (s *sharedServer) get(t testing.TB) *Server {
	t.Helper()

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free == nil {
		t.Fatal("TestMain of this package must call redistest.Main")
	}
	if s.server == nil {
		server, err := newServer("--databases", strconv.Itoa(databases), "--appendonly", "no")
		if err != nil {
			t.Fatal(err)
		}
		s.server = server
	}
	return s.server
}

// lease reserves an empty database of the package's server for a test, or skips the
// test where there is no server.
func lease(t testing.TB) int {
	t.Helper()

	if !available(t) {
		t.Skip("redis-server is not on PATH")
	}
	server := shared.get(t)
	shared.mu.Lock()
	n := shared.free[len(shared.free)-1]
	shared.free = shared.free[:len(shared.free)-1]
	shared.mu.Unlock()

	t.Cleanup(func() {
		rdb := newClient(t, server.databaseURL(n), nil)
		if err := rdb.FlushDB(context.Background()).Err(); err != nil {
			t.Errorf("empty database %d: %v", n, err)
			return // it is not used again
		}
		shared.mu.Lock()
		defer shared.mu.Unlock()
		shared.free = append(shared.free, n)
	})

	return n
}

func (s *Server) databaseURL(n int) string { return fmt.Sprintf("%s?db=%d", s.URL(), n) }

// fakeClient returns a client of a database whose clock is that of the test's
// bubble.
func (s *sharedServer) fakeClient(t testing.TB, n int) *redis.Client {
	t.Helper()

	s.mu.Lock()
	url := s.server.databaseURL(n)
	s.mu.Unlock()

	return newClient(t, url, dialFake)
}
