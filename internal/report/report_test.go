package report_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/tasks"
)

// enqueue puts files into a fresh ledger; nobody works on them.
func enqueue(t *testing.T, files map[string]string, order ...string) (*ledger.Ledger, ledger.Batch) {
	t.Helper()
	rdb := redistest.Any(t)
	q := tasks.NewQueue(rdb)
	t.Chdir(t.TempDir())
	for name, text := range files {
		if err := os.WriteFile(filepath.Clean(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in, err := roster.Open(order, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	sum, err := in.Check(t.Context(), roster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := q.Enqueue(t.Context(), tasks.Request{Input: in, Summary: sum, Queue: "default", Expire: time.Hour, Keep: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return q.Ledger, b
}

// record gives row n an outcome, as a worker would.
func record(t *testing.T, l *ledger.Ledger, b ledger.Batch, n int64, r ledger.Row) {
	t.Helper()
	_, turn, err := l.Begin(t.Context(), b, "t/x", []ledger.RowRef{{N: n, Keys: []string{"user:x"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := turn.Record(t.Context(), ledger.Settlement{N: n, Row: r}); err != nil {
		t.Fatal(err)
	}
	if err := turn.End(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, l *ledger.Ledger, b ledger.Batch, format, only string) string {
	t.Helper()
	var out bytes.Buffer
	if err := report.Write(t.Context(), &out, l, b, format, only); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

var files = map[string]string{
	"a.csv": "note,action,call_id,user_id,phone\n=1+1,delete,c1,u1,\n-3.5,invite,c1,,+14255550100\n\"two\nlines\",delete,c2,u2,\n",
	"b.csv": "call id;Action;participant_id\nc3;delete;p9\n",
}

func TestCSV(t *testing.T) {
	l, b := enqueue(t, files, "a.csv", "b.csv")
	at := b.CreatedAt.Add(1500 * time.Millisecond)
	record(t, l, b, 1, ledger.Row{Outcome: ledger.Removed, Status: 204, RequestID: "r-1", Attempts: 1, At: at})
	record(t, l, b, 2, ledger.Row{Outcome: ledger.Rejected, Status: 400, Code: "BadRequest", Detail: "=no", RequestID: "r-2", Attempts: 2, At: at})
	record(t, l, b, 4, ledger.Row{Outcome: ledger.CallEnded, Status: 404, Code: "8522", Attempts: 1, At: at})
	when := at.UTC().Format(time.RFC3339Nano)
	want := strings.Join([]string{
		"row,source,note,action,call_id,user_id,phone,participant_id,outcome,detail,status,code,request_id,attempts,finished_at",
		"1,a.csv:2,'=1+1,delete,c1,u1,,,removed,,204,,r-1,1," + when,
		"2,a.csv:3,-3.5,invite,c1,,+14255550100,,rejected,'=no,400,BadRequest,r-2,2," + when,
		"3,a.csv:4,\"two\nlines\",delete,c2,u2,,,pending,,,,,0,",
		"4,b.csv:2,,delete,c3,,,p9,call_ended,,404,8522,,1," + when,
		"",
	}, "\n")
	if got := strings.ReplaceAll(write(t, l, b, "csv", "all"), "\r\n", "\n"); got != want {
		t.Errorf("report:\n%s\nwant:\n%s", got, want)
	}
	for only, rows := range map[string]string{"done": "1", "failed": "2", "pending": "3", "skipped": "4"} {
		records, err := csv.NewReader(strings.NewReader(write(t, l, b, "csv", only))).ReadAll()
		if err != nil || len(records) != 2 || records[1][0] != rows {
			t.Errorf("only %s: %v, %v", only, records, err)
		}
	}
}

func TestJSON(t *testing.T) {
	l, b := enqueue(t, files, "a.csv", "b.csv")
	record(t, l, b, 1, ledger.Row{Outcome: ledger.Removed, Status: 204, Attempts: 1, At: b.CreatedAt})
	var rows []map[string]any
	text := write(t, l, b, "json", "all")
	if err := json.Unmarshal([]byte(text), &rows); err != nil || len(rows) != 4 {
		t.Fatalf("%v: %s", err, text)
	}
	first := rows[0]
	if first["row"] != 1.0 || first["status"] != 204.0 || first["attempts"] != 1.0 || first["note"] != "=1+1" || first["outcome"] != "removed" || first["source"] != "a.csv:2" {
		t.Errorf("%v", first)
	}
	if third := rows[2]; third["status"] != nil || third["outcome"] != "pending" || third["note"] != "two\nlines" || third["finished_at"] != "" {
		t.Errorf("%v", third)
	}
	if text := write(t, l, b, "json", "failed"); strings.TrimSpace(strings.ReplaceAll(text, "\n", "")) != "[]" {
		t.Errorf("no rows: %s", text)
	}
}

// TestMend reads the report of the failed rows as a roster file.
func TestMend(t *testing.T) {
	l, b := enqueue(t, files, "a.csv", "b.csv")
	record(t, l, b, 2, ledger.Row{Outcome: ledger.Rejected, Status: 400, Attempts: 1, At: b.CreatedAt})
	if err := os.WriteFile("failed.csv", []byte(write(t, l, b, "csv", "failed")), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := roster.Open([]string{"failed.csv"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := in.Check(t.Context(), roster.Options{}); err != nil {
		t.Fatal(err)
	}
	err = in.Each(t.Context(), roster.Options{}, func(r roster.Record) error {
		if c := r.Change; c.Action != roster.Invite || c.ID != "+14255550100" || c.CallID != "c1" || r.Cells[0] != "-3.5" {
			t.Errorf("%+v", r)
		}
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}

func TestWords(t *testing.T) {
	l, b := enqueue(t, files, "b.csv")
	for _, w := range [][2]string{{"xml", "all"}, {"csv", "some"}} {
		if err := report.Write(t.Context(), &bytes.Buffer{}, l, b, w[0], w[1]); err == nil {
			t.Errorf("%v was taken", w)
		}
	}
}
