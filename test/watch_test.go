package test

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

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
	frames []frame // what was shown, one after another; to be read when it has ended
	status func() int
}

// frame is what a terminal shows after one write.
type frame struct {
	at   time.Time
	text string
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
				x.frames = append(x.frames, frame{time.Now(), string(b[:n])})
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

// secondsOf reads a time as people are told it.
func secondsOf(text string) (s float64) {
	units := map[string]float64{"s": 1, "min": 60, "h": 3600}
	words := strings.Fields(text)
	for i := 0; i+1 < len(words); i += 2 {
		n, err := strconv.ParseFloat(words[i], 64)
		if err != nil {
			return math.NaN()
		}
		s += n * units[words[i+1]]
	}
	return s
}

// TestTerminal: who waits at a terminal sees how far it is, the rate, the limit and
// the time left, and that comes out right.
func TestTerminal(t *testing.T) {
	t.Parallel()
	const calls, perCall, rate = 24, 25, 40
	server := redistest.StartServer(t)
	dir := t.TempDir()
	deleteRoster(t, dir, "roster.csv", calls, perCall)
	sim := startSim(t, dir, "--roster", "roster.csv")
	fleet(t, 2, server.URL(), sim.url, "--rate", fmt.Sprint(rate))
	x := atTerminal(t, dir, []string{"ROLLCALL_REDIS=" + server.URL()}, "enqueue", "--wait", "roster.csv")
	began := time.Now()
	<-x.ended
	end := time.Now()
	all := x.out.String()
	for _, want := range []string{`\[#+-+\] \d+ of 600 rows, 0 failed`, `\d+ rows a second, about \d+(\.\d)? s left`, `at most 40 requests a second`, `finished, 600 rows`} {
		if !regexp.MustCompile(want).MatchString(all) {
			t.Errorf("no %q is shown", want)
		}
	}
	left := regexp.MustCompile(`about ([^\x1b\n]*) left`)
	told, worst := 0, 0.0
	for _, f := range x.frames {
		m := left.FindStringSubmatch(f.text)
		if m == nil || f.at.Sub(began) < end.Sub(began)/5 {
			continue
		}
		told++
		told++
		is := end.Sub(f.at).Seconds()
		off := math.Abs(secondsOf(m[1]) - is)
		worst = max(worst, off/math.Max(is, 2))
		// Within 15 % on a machine that does nothing else; a busy one is late with the
		// last rows, and with the end.
		if off > max(0.25*is, 3) {
			t.Errorf("%s left is told, and it is %.1f s", m[1], is)
		}
	}
	t.Logf("%d times told; the worst was off by %.0f %%", told, 100*worst)
	if told < 3 {
		t.Errorf("the time left is told %d times", told)
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
		_, _ = fmt.Fprintln(w, "action,call_id,user_id,participant_id\ninvite,c1,malformed-1,")
		for i := range 120 {
			_, _ = fmt.Fprintf(w, "delete,c1,,p-%d\n", i)
		}
	})
	sim := startSim(t, dir, "--roster", "roster.csv", "--limit", "20/s", "--burst", "20", "--retry-after", "4s")
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	fleet(t, 1, server.URL(), sim.url)
	must(t, 0, dir, env, "enqueue", "roster.csv")
	x := atTerminal(t, dir, env, "batch", "watch")
	x.sees(`Graph asks to wait [1-4] s`)
	x.sees(`failed: 1 rejected \(HTTP 400`)
	if _, err := x.file.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	<-x.ended
	if all := x.out.String(); x.status() != 130 || !strings.Contains(all, "goes on without this command; come back with: batch watch ") {
		t.Errorf("after Ctrl-C: status %d, %q", x.status(), last(all, 500))
	}
	must(t, 4, dir, env, "batch", "watch")
}
