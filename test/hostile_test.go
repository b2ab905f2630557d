//go:build integration

package test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// nobody is the address of a Redis that is not there.
const nobody = "ROLLCALL_REDIS=redis://127.0.0.1:1/0"

// larger is how many times as much memory a command may take with the race detector.
var larger = map[bool]int64{false: 1, true: 6}[raced]

// TestZipBomb gives enqueue files of some megabytes that unpack to 4 GiB of good
// rows, or of nothing. They are refused long before their end, and not taken into
// memory.
func TestZipBomb(t *testing.T) {
	if err := noteSources(); err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	for _, tt := range []struct{ name, arg, line string }{
		{"rows in a file", "r.csv.gz", "delete,5b6e2c1a-7d5f-4b8e-9a61-000000000001,u,,," + strings.Repeat("x", 200) + "\n"},
		{"blank lines on standard input", "-", strings.Repeat(" ", 1_000) + "\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, spool := t.TempDir(), t.TempDir()
			bomb := writeFile(t, dir, "r.csv.gz", func(w io.Writer) {
				_, _ = io.WriteString(w, gz(head+"delete,c,u,,,\n"))
				member := gz(strings.Repeat(tt.line, 4<<20/len(tt.line)))
				for range 1 << 10 {
					_, _ = io.WriteString(w, member)
				}
				_, _ = io.WriteString(w, "this would be complained of, if anything came so far")
			})
			stdin, err := os.Open(bomb)
			if err != nil {
				t.Fatal(err)
			}
			defer stdin.Close()
			ctx, cancel := context.WithTimeout(t.Context(), longest)
			defer cancel()
			cmd := command(ctx, dir, []string{nobody, "TMPDIR=" + spool}, "enqueue", tt.arg)
			var said bytes.Buffer
			cmd.Stdin, cmd.Stderr = stdin, &said
			err = cmd.Run()
			if status := cmd.ProcessState.ExitCode(); status != 3 || !strings.Contains(said.String(), ": unpacks to more than ") {
				t.Errorf("exit status %d, %v: %s", status, err, last(said.String(), 1000))
			}
			frugal(t, cmd.ProcessState, 200)
			if left, err := os.ReadDir(spool); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// TestManyErrors has more errors than anybody reads, and then one that is the
// reason why nothing can be enqueued.
func TestManyErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, dir, "r.csv", func(w io.Writer) {
		_, _ = io.WriteString(w, head+strings.Repeat("delete,c,,,,\n", 5_000)+"delete,c,5\"u,,,\n")
	})
	r := must(t, 3, dir, []string{nobody}, "enqueue", "--skip-invalid", "r.csv")
	lines := strings.Split(strings.TrimSpace(r.stderr), "\n")
	if len(lines) != 103 || !strings.HasPrefix(lines[100], "r.csv:5002:3: user_id: a quote inside") || lines[101] != "and 4900 more errors" {
		t.Errorf("it says %d lines, the last: %q", len(lines), lines[max(0, len(lines)-3):])
	}
	var j invalidJSON
	must(t, 3, dir, []string{nobody}, "enqueue", "--output", "json", "r.csv").json(t, &j)
	if len(j.Errors) != 101 || j.More != 4_900 {
		t.Errorf("JSON has %d errors and %d more", len(j.Errors), j.More)
	}
}

// frugal makes sure that a process that has ended never took more memory than
// that many MiB.
func frugal(t testing.TB, ended *os.ProcessState, most int64) {
	t.Helper()
	usage, ok := ended.SysUsage().(*syscall.Rusage)
	if !ok || runtime.GOOS != "linux" {
		return // others count in other units
	}
	most *= larger
	// A process counts on from the peak of the one that started it: below that,
	// its own is not known.
	var own syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &own)
	if peak := usage.Maxrss >> 10; peak > most && usage.Maxrss > own.Maxrss {
		t.Errorf("it took %d MiB of memory, more than %d", peak, most)
	}
}

// newHostile serves a Graph that answers as no Graph should: forever writes head
// and then more, again and again, on the bare connection.
func newHostile(t testing.TB, answer func(w http.ResponseWriter, r *http.Request, forever func(head, more string, every time.Duration))) (url string) {
	t.Helper()
	var writers sync.WaitGroup
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writers.Add(1)
		defer writers.Done()
		_, _ = io.Copy(io.Discard, r.Body)
		answer(w, r, func(head, more string, every time.Duration) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			// Until the client hangs up, at the latest when the test kills it.
			for _, err = io.WriteString(conn, head); err == nil; _, err = io.WriteString(conn, more) {
				<-time.After(every)
			}
		})
	}))
	t.Cleanup(func() {
		server.Close()
		writers.Wait()
	})
	return server.URL
}

const (
	okHead      = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
	chunkedBody = "Transfer-Encoding: chunked\r\n\r\n"
)

// chunk is a part of a chunked body.
func chunk(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

// hostileRoster writes r.csv and enqueues it.
func hostileRoster(t testing.TB, dir string, env []string, rows ...string) {
	t.Helper()
	writeFile(t, dir, "r.csv", func(w io.Writer) {
		_, _ = io.WriteString(w, "action,call_id,participant_id,user_id\n"+strings.Join(rows, "\n")+"\n")
	})
	must(t, 0, dir, env, "enqueue", "r.csv")
}

// drained runs a worker until no row is left, and gives the batch's state.
func drained(t testing.TB, dir string, env []string, rows int, args ...string) (st batchStatus) {
	t.Helper()
	args = append([]string{"--drain", "--http", "", "--log-level", "warn"}, args...)
	worker := start(t, dir, env, "worker", args...)
	if r := worker.wait(); r.status != 0 {
		t.Fatalf("the worker ended with %d", r.status)
	}
	frugal(t, worker.cmd.ProcessState, 200)
	must(t, 0, dir, env, "batch", "status", "--output", "json").json(t, &st)
	st.whole(t, rows)
	return st
}

// TestSlowLoris has a Graph that sends a byte now and then, and never comes to
// the end of a header or a body. A worker that waits for it ends when it is told
// to, and the next one finds every row.
func TestSlowLoris(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := []string{"ROLLCALL_REDIS=" + redistest.StartServer(t).URL(), tokenEnv()}
	var asked atomic.Int32
	graph := newHostile(t, func(w http.ResponseWriter, r *http.Request, forever func(string, string, time.Duration)) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/answered-") {
			_, _ = io.WriteString(w, `{"value":[]}`)
			return
		}
		asked.Add(1)
		if strings.Contains(r.URL.Path, "-body/") {
			forever(okHead+chunkedBody+chunk(`{"value":[],"x":"`), chunk("x"), 10*time.Millisecond)
		} else {
			forever(okHead+"X-Slow: ", "x", 10*time.Millisecond)
		}
	})
	rows := []string{
		"delete,named-head,p-1,", "delete,named-body,p-1,", "delete,listed-head,,u-1", "delete,listed-body,,u-1",
		"invite,roster-head,,u-2", "invite,roster-body,,u-2", "invite,answered-head,,u-2", "invite,answered-body,,u-2",
	}
	hostileRoster(t, dir, env, rows...)

	// It ends, though none of its requests does.
	worker := start(t, dir, env, "worker", "--http", "", "--graph-url", graph, "--shutdown-timeout", "3s")
	testutil.Eventually(t, "every row waits for Graph", func() bool { return asked.Load() >= int32(len(rows)) })
	if r := worker.signal(syscall.SIGTERM); r.status != 0 {
		t.Errorf("the worker ended with %d", r.status)
	}
	frugal(t, worker.cmd.ProcessState, 200)

	sim := startSim(t, dir, "--roster", "r.csv", "--ring", "0s-100ms")
	st := drained(t, dir, env, len(rows), "--graph-url", sim.url, "--confirm-timeout", "2s")
	// Who was accepted in an answer without end has not come, and may not be rung
	// again; others are.
	if joined := st.Outcomes["joined"]; st.Outcomes["removed"] != 4 || joined < 3 || joined+st.Outcomes["declined"] != 4 {
		t.Errorf("outcomes are %v", st.Outcomes)
	}
}

// TestEndlessRoster has a roster whose every page names a next one. Who was not
// found on as many pages as are read may be on the others.
func TestEndlessRoster(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := []string{"ROLLCALL_REDIS=" + redistest.StartServer(t).URL(), tokenEnv()}
	var furthest atomic.Int32
	graph := newHostile(t, func(w http.ResponseWriter, r *http.Request, _ func(string, string, time.Duration)) {
		page, _ := strconv.ParseInt(r.URL.Query().Get("page"), 10, 32)
		page++
		if n := int32(page); n > furthest.Load() { // they are read one after another
			furthest.Store(n)
		}
		_, _ = fmt.Fprintf(w, `{"value":[{"id":"p-%d"}],"@odata.nextLink":"http://%s%s?page=%[1]d"}`, page, r.Host, r.URL.Path)
	})
	hostileRoster(t, dir, env, "delete,c,,u-1")
	if st := drained(t, dir, env, 1, "--graph-url", graph); st.Outcomes["unresolved"] != 1 {
		t.Errorf("outcomes are %v", st.Outcomes)
	}
	const most = 100                             // of the client's
	if n := furthest.Load(); n < 2 || n > most { // of one reading
		t.Errorf("%d pages were read", n)
	}
}

// TestEndlessAnswers has a Graph whose answers never end and come as fast as
// they are read: rosters, errors, headers, and words about an invitation that
// was accepted.
func TestEndlessAnswers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := []string{"ROLLCALL_REDIS=" + redistest.StartServer(t).URL(), tokenEnv()}
	x := strings.Repeat("x", 1<<16)
	graph := newHostile(t, func(w http.ResponseWriter, r *http.Request, forever func(string, string, time.Duration)) {
		switch {
		case strings.Contains(r.URL.Path, "/refused-"):
			forever("HTTP/1.1 403 Forbidden\r\n"+chunkedBody+chunk(`{"error":{"code":"7503","message":"`), chunk(x), 0)
		case strings.Contains(r.URL.Path, "/headers-"):
			forever(okHead, "X-Long: "+x+"\r\n", 0)
		case strings.Contains(r.URL.Path, "/empty-"):
			forever(okHead+chunkedBody+chunk(`{"value":[{}`), chunk(strings.Repeat(",{}", 1<<14)), 0)
		case strings.Contains(r.URL.Path, "/listed-"):
			forever(okHead+chunkedBody+chunk(`{"value":[{"id":"p"}`), chunk(strings.Repeat(`,{"id":"p"}`, 1<<12)), 0)
		case r.Method == http.MethodPost:
			forever(okHead+chunkedBody+chunk(`{"id":"o-1","status":"running","x":"`), chunk(x), 0)
		default:
			_, _ = io.WriteString(w, `{"value":[]}`)
		}
	})
	var rows []string
	for i := range 4 {
		rows = append(rows, fmt.Sprintf("delete,refused-%d,p-1,", i), fmt.Sprintf("delete,headers-%d,p-1,", i),
			fmt.Sprintf("delete,empty-%d,,u-1", i), fmt.Sprintf("delete,listed-%d,,u-1", i), fmt.Sprintf("invite,accepted-%d,,u-1", i))
	}
	hostileRoster(t, dir, env, rows...)
	st := drained(t, dir, env, len(rows), "--graph-url", graph, "--max-attempts", "2", "--confirm=false")
	if st.Outcomes["rejected"] != 4 || st.Outcomes["exhausted"] != 12 || st.Outcomes["invited"] != 4 {
		t.Errorf("outcomes are %v", st.Outcomes)
	}
}
