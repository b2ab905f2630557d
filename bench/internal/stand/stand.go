package stand

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Stand is a Redis that is empty at the start, a simulator, and the processes
// that take part.
type Stand struct {
	Dir   string // for files of this measurement
	Redis string // host:port
	Sim   *Simulator

	bin   string
	procs []*Process
	// idle is what the machine has done so far without the stand.
	idle time.Duration
}

// Build builds rollcall's commands, whose module is at root, into a directory.
func Build(ctx context.Context, root, bin string) error {
	// Version control is left alone: a tree that another user owns is no reason
	// to fail.
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", bin+string(filepath.Separator),
		"./cmd/enqueue", "./cmd/worker", "./cmd/batch", "./cmd/graphsim")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the commands: %w\n%s", err, out)
	}
	return nil
}

// New starts Redis. bin is where Build put the commands.
func New(ctx context.Context, bin string) (*Stand, error) {
	dir, err := os.MkdirTemp("", "rollcall-bench-")
	if err != nil {
		return nil, err
	}
	s := &Stand{Dir: dir, bin: bin, idle: busy() - own()}
	if err := s.startRedis(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// startRedis starts a server that keeps an append-only file, as the README
// recommends.
func (s *Stand) startRedis(ctx context.Context) error {
	addr, err := freeAddr(ctx)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	p, err := s.Start(ctx, nil, "redis-server", "--bind", "127.0.0.1", "--port", port, "--dir", s.Dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--loglevel", "warning")
	if err != nil {
		return err
	}
	s.Redis = addr
	return s.listens(ctx, p, addr)
}

// StartSim starts the simulator, with flags of graphsim.
func (s *Stand) StartSim(ctx context.Context, args ...string) error {
	addr, err := freeAddr(ctx)
	if err != nil {
		return err
	}
	p, err := s.Start(ctx, nil, s.Command("graphsim"), append([]string{"--listen", addr}, args...)...)
	if err != nil {
		return err
	}
	s.Sim = &Simulator{URL: "http://" + addr}
	return s.listens(ctx, p, addr)
}

// startTime bounds how long a process takes until it listens.
const startTime = 30 * time.Second

// listens waits until a process accepts connections.
func (s *Stand) listens(ctx context.Context, p *Process, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	var d net.Dialer
	for {
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		if ended := p.Running(); ended != nil {
			return ended
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s does not listen on %s: %w", p.name, addr, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Command is the path of one of rollcall's commands.
func (s *Stand) Command(name string) string { return filepath.Join(s.bin, name) }

// RedisURL is how rollcall's commands name the Redis.
func (s *Stand) RedisURL() string { return "redis://" + s.Redis + "/0" }

// Start starts a process that takes part. It lasts until Close, at most.
func (s *Stand) Start(ctx context.Context, env []string, path string, args ...string) (*Process, error) {
	p, err := start(ctx, s.Dir, env, path, args...)
	if err != nil {
		return nil, err
	}
	s.procs = append(s.procs, p)
	return p, nil
}

// Run runs a process to its end, which must be a good one.
func (s *Stand) Run(ctx context.Context, env []string, path string, args ...string) error {
	_, err := s.RunFor(ctx, env, path, args...)
	return err
}

// RunFor is Run, and returns the process for what it took.
func (s *Stand) RunFor(ctx context.Context, env []string, path string, args ...string) (*Process, error) {
	p, err := s.Start(ctx, env, path, args...)
	if err != nil {
		return nil, err
	}
	<-p.ended
	if p.cmd.ProcessState.Success() {
		return p, nil
	}
	return nil, errors.Join(ctx.Err(), p.Running())
}

// Close kills all processes and removes the directory. The last ones go first,
// so that none sees what it works with vanish. Closing twice does no harm.
func (s *Stand) Close() {
	for i := len(s.procs) - 1; i >= 0; i-- {
		s.procs[i].Kill()
	}
	_ = os.RemoveAll(s.Dir)
}

// Others is the processor time used since New by what is no part of the stand,
// 0 if that cannot be told. The stand must be closed.
func (s *Stand) Others() time.Duration {
	others := busy() - own() - s.idle
	for _, p := range s.procs {
		others -= p.CPU()
	}
	return max(others, 0)
}

// freeAddr gives a loopback address that was free a moment ago.
func freeAddr(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
