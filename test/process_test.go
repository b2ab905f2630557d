//go:build integration || endurance

package test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/testutil"
)

// longest bounds every process that a test waits for. It only ends what would
// otherwise hang.
const longest = 5 * time.Minute

// command prepares one of the commands under test. It sees no more of the
// environment than it is given.
func command(ctx context.Context, dir string, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Dir = dir
	cmd.Env = append([]string{"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}, env...)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// result is how a process ended.
type result struct {
	status         int // -1: killed by a signal
	stdout, stderr string
}

// json reads the standard output into v.
func (r result) json(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.stdout), v); err != nil {
		t.Fatalf("standard output is not JSON: %v\n%s\n%s", err, r.stdout, r.stderr)
	}
}

// process is a command that runs in the background.
type process struct {
	t      testing.TB
	name   string
	cmd    *exec.Cmd
	cancel context.CancelFunc
	out    testutil.Buffer
	err    testutil.Buffer
	ended  chan struct{}
}

// bound is how long a process may live: until shortly before the test binary ends,
// so that a test that hangs says what its processes said.
func bound(t testing.TB) time.Duration {
	if t, ok := t.(*testing.T); ok {
		if deadline, ok := t.Deadline(); ok {
			return max(time.Until(deadline)-10*time.Second, time.Second)
		}
	}
	return 24 * time.Hour
}

// start starts a command. What still runs when the test ends is killed then.
func start(t testing.TB, dir string, env []string, name string, args ...string) *process {
	t.Helper()
	if err := noteSources(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), bound(t))
	p := &process{t: t, name: name, cmd: command(ctx, dir, env, name, args...), cancel: cancel, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	if err := p.cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the status is read from ProcessState
		close(p.ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-p.ended
		if t.Failed() {
			t.Logf("%s ended with %d and said:\n%s", name, p.cmd.ProcessState.ExitCode(), last(p.err.String(), 4000))
		}
	})
	return p
}

// wait waits for the end.
func (p *process) wait() result {
	p.t.Helper()
	<-p.ended
	return result{p.cmd.ProcessState.ExitCode(), p.out.String(), p.err.String()}
}

// running reports whether it has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// signal sends a signal, if the process still lives, and waits for the end.
func (p *process) signal(s os.Signal) result {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
	return p.wait()
}

// run runs a command to its end.
func run(t testing.TB, dir string, env []string, name string, args ...string) result {
	t.Helper()
	return start(t, dir, env, name, args...).wait()
}

// must runs a command to its end, which must have the status.
func must(t testing.TB, status int, dir string, env []string, name string, args ...string) result {
	t.Helper()
	r := run(t, dir, env, name, args...)
	if r.status != status {
		t.Fatalf("%s %s: exit status %d, want %d\n%s\n%s", name, strings.Join(args, " "), r.status, status,
			last(r.stdout, 4000), last(r.stderr, 4000))
	}
	return r
}

// last cuts what a process said to its last n bytes.
func last(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + s[len(s)-n:]
}

// writeFile writes a test's file and returns its path.
func writeFile(t testing.TB, dir, name string, write func(w io.Writer)) string {
	t.Helper()
	path := filepath.Join(dir, name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	write(w)
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}
