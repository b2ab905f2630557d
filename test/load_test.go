//go:build integration || endurance

package test

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"rollcall/internal/testutil"
)

// tokenEnv gives a worker the token that the simulator takes.
func tokenEnv() string { return "ROLLCALL_TOKEN_FILE=" + root + "/examples/simulator.token" }

// fleet starts workers against a Graph, without HTTP servers.
func fleet(t testing.TB, n int, redisURL, graph string, args ...string) []*process {
	t.Helper()
	env := []string{"ROLLCALL_REDIS=" + redisURL, tokenEnv(), "ROLLCALL_GRAPH_URL=" + graph}
	args = append([]string{"--http", "", "--log-level", "warn"}, args...)
	all := make([]*process, n)
	for i := range all {
		all[i] = start(t, t.TempDir(), env, "worker", args...)
	}
	return all
}

// status is what the tests read of 'enqueue --wait' and 'batch status'.
type batchStatus struct {
	Batch    string         `json:"batch"`
	Rows     int            `json:"rows"`
	Tasks    int            `json:"tasks"`
	Invites  int            `json:"invites"`
	Deletes  int            `json:"deletes"`
	Calls    int            `json:"calls"`
	Existing bool           `json:"existing"`
	State    string         `json:"state"`
	Pending  int            `json:"pending"`
	Outcomes map[string]int `json:"outcomes"`
}

// finished waits for an 'enqueue --wait --output json' that must end well.
func finished(t testing.TB, waiting *process) (st batchStatus) {
	t.Helper()
	r := waiting.wait()
	if r.status != 0 {
		t.Fatalf("enqueue --wait: exit status %d\n%s", r.status, r.stderr)
	}
	r.json(t, &st)
	return st
}

// whole makes sure that every row of the batch has an outcome.
func (b batchStatus) whole(t testing.TB, rows int) {
	t.Helper()
	sum := 0
	for _, n := range b.Outcomes {
		sum += n
	}
	if b.State != "finished" || b.Pending != 0 || b.Rows != rows || sum != rows {
		t.Fatalf("the batch is %s with %d of %d rows pending and outcomes %v (want %d rows, all with one)",
			b.State, b.Pending, b.Rows, b.Outcomes, rows)
	}
}

// accepted are the rows whose invite Graph took, confirmed or not.
func (b batchStatus) accepted() int { return b.Outcomes["invited"] + b.Outcomes["joined"] }

// table is a roster or a report: its header and its rows.
type table struct {
	column map[string]int
	rows   [][]string
}

func (tb table) cell(row []string, column string) string { return row[tb.column[column]] }

func readTable(t testing.TB, in io.Reader) table {
	t.Helper()
	all, err := csv.NewReader(in).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("the table is empty")
	}
	tb := table{map[string]int{}, all[1:]}
	for i, name := range all[0] {
		tb.column[name] = i
	}
	return tb
}

func readTableFile(t testing.TB, path string) table {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return readTable(t, f)
}

// reported makes sure that a report has every row of the roster once, in order,
// with its cells as they were. It returns the number of rows by outcome.
func reported(t testing.TB, report, roster table) map[string]int {
	t.Helper()
	if len(report.rows) != len(roster.rows) {
		t.Fatalf("the report has %d rows, the roster %d", len(report.rows), len(roster.rows))
	}
	outcomes := map[string]int{}
	for i, row := range report.rows {
		if got := report.cell(row, "row"); got != strconv.Itoa(i+1) {
			t.Fatalf("row %d of the report is number %s", i+1, got)
		}
		for name := range roster.column {
			got, want := report.cell(row, name), roster.cell(roster.rows[i], name)
			// What a spreadsheet would compute has been made harmless.
			if strings.HasPrefix(want, "=") {
				want = "'" + want
			}
			if got != want {
				t.Fatalf("row %d: %s is %q, was %q", i+1, name, got, want)
			}
		}
		outcomes[report.cell(row, "outcome")]++
	}
	return outcomes
}

// mixedRoster writes a roster of deletes and invites, half and half, over the
// given number of calls, and columns that are only kept.
func mixedRoster(t testing.TB, dir, name string, calls, perCall int) string {
	t.Helper()
	return writeFile(t, dir, name, func(w io.Writer) {
		_, _ = fmt.Fprintln(w, "action,call_id,participant_id,user_id,Note,Formula")
		for p := range perCall {
			for c := range calls {
				// Calls alternate, as in no file sorted by call.
				if p%2 == 0 {
					_, _ = fmt.Fprintf(w, "delete,call-%03d,p-%03d-%03d,,\"Büro, \"\"%d\"\"\",=SUM(A%d)\n", c, c, p, p, c)
				} else {
					_, _ = fmt.Fprintf(w, "invite,call-%03d,,u-%03d-%03d,日本 %d,plain\n", c, c, p, p)
				}
			}
		}
	})
}

// deleteRoster writes a roster of deletes by participant id.
func deleteRoster(t testing.TB, dir, name string, calls, perCall int) string {
	t.Helper()
	return writeFile(t, dir, name, func(w io.Writer) {
		_, _ = fmt.Fprintln(w, "action,call_id,participant_id")
		for c := range calls {
			for p := range perCall {
				_, _ = fmt.Fprintf(w, "delete,call-%03d,p-%03d-%03d\n", c, c, p)
			}
		}
	})
}

// inviteRoster writes a roster of invites, one line a call in turn.
func inviteRoster(t testing.TB, dir, name string, calls, perCall int) string {
	t.Helper()
	return writeFile(t, dir, name, func(w io.Writer) {
		_, _ = fmt.Fprintln(w, "action,call_id,user_id")
		for p := range perCall {
			for c := range calls {
				_, _ = fmt.Fprintf(w, "invite,call-%03d,u-%03d-%03d\n", c, c, p)
			}
		}
	})
}

// rungOnce makes sure that so many people were rung, each once, and that no two
// requests about one participant ever overlapped.
func rungOnce(t testing.TB, state simState, people int) {
	t.Helper()
	rung := 0
	for _, call := range state.Calls {
		rung += len(call.Rings)
	}
	if rung != people {
		t.Errorf("%d people were rung, want %d", rung, people)
	}
	rungNoneAgain(t, state)
}

// rungNoneAgain makes sure of the same about everybody who was rung.
func rungNoneAgain(t testing.TB, state simState) {
	t.Helper()
	for id, call := range state.Calls {
		for who, n := range call.Rings {
			if n != 1 {
				t.Errorf("%s: %s was rung %d times", id, who, n)
			}
		}
	}
	if state.Counters.RungAgain != 0 {
		t.Errorf("%d people were rung again", state.Counters.RungAgain)
	}
	if state.Counters.Overlaps != 0 {
		t.Errorf("%d requests overlapped another about the same participant", state.Counters.Overlaps)
	}
}

// halfRoster writes a roster with as many people to remove as to ring, over some
// calls, all of whom are there or come, and starts the simulator for it.
func halfRoster(t testing.TB, dir string, calls, perCall int, args ...string) *simulator {
	t.Helper()
	writeFile(t, dir, "roster.csv", func(w io.Writer) {
		_, _ = fmt.Fprintln(w, "action,call_id,participant_id,user_id")
		for p := range perCall {
			for c := range calls {
				if p%2 == 0 {
					_, _ = fmt.Fprintf(w, "delete,call-%03d,p-%03d-%03d,\n", c, c, p)
				} else {
					_, _ = fmt.Fprintf(w, "invite,call-%03d,,u-%03d-%03d\n", c, c, p)
				}
			}
		}
	})
	return startSim(t, dir, append([]string{"--latency", "20ms", "--ring", "0s-1s", "--roster", "roster.csv"}, args...)...)
}

// carriedOut makes sure that all rows of halfRoster were carried out, each by one
// request.
func carriedOut(t testing.TB, st batchStatus, sim *simulator, rows int) {
	t.Helper()
	st.whole(t, rows)
	if st.Outcomes["removed"] != rows/2 || st.Outcomes["joined"] != rows/2 {
		t.Errorf("outcomes are %v", st.Outcomes)
	}
	state := sim.state(t)
	rungOnce(t, state, rows/2)
	if did, again := state.Counters.ByStatus["204"], state.Counters.ByStatus["404"]; did != rows/2 || again > 0 {
		t.Errorf("%d deletes were sent for %d rows, and %d again", did, rows/2, again)
	}
}

// half waits until half of the rows' requests have been answered.
func half(t testing.TB, sim *simulator, rows int) {
	t.Helper()
	testutil.Eventually(t, "half is done", func() bool {
		c := sim.state(t).Counters
		return c.ByStatus["204"]+c.ByStatus["200"]+c.ByStatus["201"] >= rows/2
	})
}

// saidOnce makes sure that a worker told of trouble with Redis once, not once a
// task.
func saidOnce(t testing.TB, workers ...*process) {
	t.Helper()
	for i, p := range workers {
		said := p.err.String()
		if n := strings.Count(said, "\n"); n > 15 {
			t.Errorf("worker %d has written %d lines:\n%s", i, n, last(said, 3000))
		}
	}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
