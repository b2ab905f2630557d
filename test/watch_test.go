//go:build integration

package test

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// terminal is a command at a pseudo-terminal.
type terminal struct {
	t      *testing.T
	file   *os.File
	out    testutil.Buffer
	ended  chan struct{}
	status func() int
}

func atTerminal(t *testing.T, dir string, env []string, name string, args ...string) *terminal {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	cmd := command(ctx, dir, append(env, "TERM=xterm"), name, args...)
	file, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 100})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	x := &terminal{t: t, file: file, ended: make(chan struct{}), status: func() int { return cmd.ProcessState.ExitCode() }}
	go func() {
		defer close(x.ended)
		b := make([]byte, 64<<10)
		for {
			n, err := file.Read(b)
			if n > 0 {
				_, _ = x.out.Write(b[:n])
			}
			if err != nil { // Linux says EIO at the end
				_ = cmd.Wait()
				return
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-x.ended; _ = file.Close() })
	return x
}

func (x *terminal) sees(pattern string) {
	x.t.Helper()
	re := regexp.MustCompile(pattern)
	testutil.Eventually(x.t, pattern+" is shown", func() bool { return re.MatchString(x.out.String()) })
}

// TestTerminal: who waits at a terminal sees how far it is, the rate, the limit and
// the time left, and in the end the outcome alone. That the time left comes out right is
// tested in internal/ledger.
func TestTerminal(t *testing.T) {
	t.Parallel()
	const calls, perCall = 24, 100
	server := redistest.StartServer(t)
	dir := t.TempDir()
	deleteRoster(t, dir, "roster.csv", calls, perCall)
	sim := startSim(t, dir, "--roster", "roster.csv")
	worker := fleet(t, 1, server.URL(), sim.url, "--rate", "40")[0]
	x := atTerminal(t, dir, []string{"ROLLCALL_REDIS=" + server.URL()}, "enqueue", "--wait", "roster.csv")
	// The batch lasts for a minute, and all is shown within the first seconds of it.
	x.sees(`\[#+-+\] \d+ of 2400 rows, 0 failed`)
	x.sees(`\d+ rows a second, about [^\n]* left`)
	x.sees(`at most 40 requests a second`)

	// Another worker, without that rate, does the rest.
	worker.signal(syscall.SIGTERM)
	fleet(t, 1, server.URL(), sim.url)
	<-x.ended
	all := x.out.String()
	if x.status() != 0 || !strings.Contains(all, "finished, 2400 rows") {
		t.Errorf("status %d, and the end is %q", x.status(), last(all, 500))
	}
	// Nothing of what was drawn stays: the last is a text as anywhere.
	if i := strings.LastIndex(all, "\x1b[J"); i < 0 || strings.Contains(all[i:], "[#") {
		t.Errorf("the end is %q", last(all, 500))
	}
}

// TestTerminalPause: it is told when Graph asks to wait, what failed, and after
// Ctrl-C how to come back; the batch goes on.
func TestTerminalPause(t *testing.T) {
	t.Parallel()
	server := redistest.StartServer(t)
	dir := t.TempDir()
	writeFile(t, dir, "roster.csv", func(w io.Writer) {
		_, _ = fmt.Fprintln(w, "action,call_id,user_id,participant_id\ninvite,c0,malformed-1,")
		for i := range 4_000 {
			_, _ = fmt.Fprintf(w, "delete,c%d,,p-%d\n", i/10, i)
		}
	})
	sim := startSim(t, dir, "--roster", "roster.csv")
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	fleet(t, 1, server.URL(), sim.url, "--rate", "20")
	must(t, 0, dir, env, "enqueue", "roster.csv")
	x := atTerminal(t, dir, env, "batch", "watch")
	x.sees(`failed: 1 rejected \(HTTP 400`)
	sim.set(t, `{"limit":{"window":1,"per":"1h","retry_after":"40m"}}`)
	x.sees(`Graph asks to wait \d+ min`)
	if _, err := x.file.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	<-x.ended
	if all := x.out.String(); x.status() != 130 || !strings.Contains(all, "goes on without this command; come back with: batch watch ") {
		t.Errorf("after Ctrl-C: status %d, %q", x.status(), last(all, 500))
	}
	var st batchStatus
	must(t, 0, dir, env, "batch", "status", "--output", "json").json(t, &st)
	if st.State != "running" || st.Outcomes["rejected"] != 1 {
		t.Errorf("the batch is %s, with %v", st.State, st.Outcomes)
	}
}
