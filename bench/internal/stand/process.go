package stand

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Process is a process of the stand.
type Process struct {
	name  string
	cmd   *exec.Cmd
	said  tail
	ended chan struct{}
	took  time.Duration
	peak  atomic.Int64
}

// start starts a process. It sees no more of the environment than it needs, so
// that settings of whoever runs this change nothing.
func start(ctx context.Context, dir string, env []string, path string, args ...string) (*Process, error) {
	p := &Process{name: path, cmd: exec.CommandContext(ctx, path, args...), ended: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.WaitDelay = 5 * time.Second
	dieWithParent(p.cmd)
	started := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.watchPeak()
	go func() {
		_ = p.cmd.Wait() // read from ProcessState
		p.took = time.Since(started)
		close(p.ended)
	}()
	return p, nil
}

// Kill ends the process at once, as a crash would.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Running is an error that tells what the process said, if it has ended.
func (p *Process) Running() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended: %s\n%s", p.name, p.cmd.ProcessState, p.said.String())
	default:
		return nil
	}
}

// CPU is the processor time that the process has used, once it has ended.
func (p *Process) CPU() time.Duration {
	<-p.ended
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// Said is the last of what the process has written.
func (p *Process) Said() string { return p.said.String() }

// Took is how long the process ran, once it has ended.
func (p *Process) Took() time.Duration {
	<-p.ended
	return p.took
}

// Peak is the most memory that the process had, in bytes, as far as it was seen; 0
// if that is not known.
func (p *Process) Peak() int64 { return p.peak.Load() }

// tail keeps the last of what a process says.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const kept = 4 << 10

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.b = append(t.b, p...); len(t.b) > 2*kept {
		t.b = bytes.Clone(t.b[len(t.b)-kept:])
	}
	return len(p), nil
}

// String is what has been kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.b))
}
