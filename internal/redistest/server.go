package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/testutil"
)

// Server is a redis-server process with a directory and a unix socket of its own.
// It keeps its data (append-only file) over Kill and Start.
type Server struct {
	t      testing.TB // nil for a package's shared server
	dir    string
	socket string
	args   []string
	cmd    *exec.Cmd
	log    testutil.Buffer
	ended  chan struct{} // closed when the process has ended
	admin  *redis.Client
}

// StartServer starts a server for one test, or skips the test where there is none.
// It is for tests that stop Redis, fill it or configure it; others use Each or Any.
// Extra arguments go to its command line.
func StartServer(t testing.TB, args ...string) *Server {
	t.Helper()

	s, err := startServer(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// startServer is StartServer for callers that try again.
func startServer(t testing.TB, args ...string) (*Server, error) {
	t.Helper()

	if !available(t) {
		t.Skip("redis-server is not on PATH")
	}
	s, err := newServer(args...)
	if err != nil {
		return nil, err
	}
	s.t = t
	t.Cleanup(s.remove)

	return s, nil
}

// newServer starts a server in a new directory.
func newServer(args ...string) (*Server, error) {
	// A unix socket's path must be short: shorter than testing's TempDir makes them.
	dir, err := os.MkdirTemp("", "rollcall-redis-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, socket: filepath.Join(dir, "s"), args: args}
	s.admin = redis.NewClient(&redis.Options{Network: "unix", Addr: s.socket})
	if err := s.start(); err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// remove ends the process and deletes its data.
func (s *Server) remove() {
	s.Kill()
	_ = s.admin.Close()
	_ = os.RemoveAll(s.dir)
}

// URL names the server for --redis.
func (s *Server) URL() string { return "unix://" + s.socket }

// Client returns a new client of the server.
func (s *Server) Client(t testing.TB) *redis.Client {
	t.Helper()
	return newClient(t, s.URL(), nil)
}

// Fake runs test on a fake clock with a client of the server. The test may configure
// the server, but not stop it.
func (s *Server) Fake(t *testing.T, test func(t *testing.T, rdb *redis.Client)) {
	t.Helper()
	inBubble(t, test, func(t *testing.T) *redis.Client { return newClient(t, s.URL(), dialFake) })
}

// Start starts the process again after Kill and waits until it answers.
func (s *Server) Start() {
	s.t.Helper()

	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) start() error {
	args := append([]string{
		"--port", "0", "--unixsocket", s.socket, "--dir", s.dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--loglevel", "warning",
	}, s.args...)
	s.cmd = command(args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return err
	}
	s.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(s.cmd, s.ended)

	ctx, cancel := context.WithTimeout(context.Background(), testutil.WaitLimit)
	defer cancel()
	for s.admin.Ping(ctx).Err() != nil {
		select {
		case <-ctx.Done():
			return errors.New("redis-server does not answer")
		case <-s.ended:
			return fmt.Errorf("redis-server has ended: %s", s.log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

func command(args ...string) *exec.Cmd { return exec.Command("redis-server", args...) }

// Kill ends the process at once, as a crash would.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.ended
	s.cmd = nil
}
