package report_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"rollcall/internal/ledger"
	"rollcall/internal/report"
)

// TestHTML: the page stands alone, says why rows failed and what to do, the most
// frequent first, and takes nothing from a file for more than text.
func TestHTML(t *testing.T) {
	var file strings.Builder
	file.WriteString("action,call_id,user_id,display_name\n")
	for i := range 300 {
		_, _ = fmt.Fprintf(&file, "invite,c%d,u%d,<script>alert(%d)</script>\n", i/100, i, i)
	}
	l, b := enqueue(t, map[string]string{"a.csv": file.String()}, "a.csv")
	for i := int64(1); i <= 280; i++ {
		r := ledger.Row{Outcome: ledger.Joined, Attempts: 1, Status: 200}
		switch {
		case i == 7:
			r = ledger.Row{Outcome: ledger.Rejected, Status: 403, Code: "7505", Detail: "Graph forbids it"}
		case i%3 == 0:
			r = ledger.Row{Outcome: ledger.Declined, Status: 200, Detail: "no answer & <b>nothing</b>"}
		}
		record(t, l, b, i, r)
	}
	text := write(t, l, b, "html", "all")
	for _, want := range []string{
		"94 rows failed", "300 rows: 300 invites and 0 deletes in 3 calls", "they were rung and did not answer in time",
		"Calls.InitiateGroupCall.All", "batch retry " + b.ID, "batch report --only failed " + b.ID, "a.csv:8", "(<bdi>u6</bdi>)", "<svg", "186 done",
		"no answer &amp; &lt;b&gt;nothing&lt;/b&gt;", "&lt;script&gt;alert(6)", "HTTP 403, code 7505",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Index(text, "93 × declined") > strings.Index(text, "1 × rejected") {
		t.Error("the rarer reason comes first")
	}
	if n := strings.Count(text, "no answer &amp;"); n != 50 {
		t.Errorf("%d rows of a reason are listed", n)
	}
	if found := regexp.MustCompile(`(?i)<script|<link|<img|src=|href=|url\(|@import|https?://`).FindString(text); found != "" {
		t.Errorf("the page has %q in it", found)
	}
}

// TestRows: rows are chosen by outcome, call and text, and read on from where it
// was stopped.
func TestRows(t *testing.T) {
	var file strings.Builder
	file.WriteString("action,call_id,user_id,note\n")
	for i := 1; i <= 1000; i++ {
		_, _ = fmt.Fprintf(&file, "invite,Call-%d,user-%d,note %d\n", i/100, i, i%7)
	}
	l, b := enqueue(t, map[string]string{"a.csv": file.String()}, "a.csv")
	for i := int64(1); i <= 1000; i += 10 {
		record(t, l, b, i, ledger.Row{Outcome: ledger.Declined, Detail: fmt.Sprint("No Answer ", i), RequestID: fmt.Sprint("r", i)})
	}
	failed := func(o ledger.Outcome) bool { return o == ledger.Declined }
	for _, c := range []struct {
		f    report.Filter
		n    int
		next int64
	}{
		{report.Filter{}, 1000, 1001},
		{report.Filter{From: 501}, 500, 1001},
		{report.Filter{Outcome: failed}, 100, 1001},
		{report.Filter{Outcome: failed, From: 992}, 0, 1001},
		{report.Filter{Call: "call-3"}, 100, 1001},
		{report.Filter{Call: "call-3", Outcome: failed}, 10, 1001},
		{report.Filter{Text: "USER-77"}, 11, 1001},
		{report.Filter{Text: "no answer 99"}, 1, 1001},
		{report.Filter{Text: "r991"}, 1, 1001},
		{report.Filter{Text: "note 6", From: 995}, 1, 1001},
		{report.Filter{Text: "nobody"}, 0, 1001},
		{report.Filter{Until: b.CreatedAt}, 256, 257}, // the time is over before the first bucket is
	} {
		n := 0
		next, err := report.Rows(t.Context(), l, b, c.f, func(report.Entry) error { n++; return nil })
		if err != nil || n != c.n || next != c.next {
			t.Errorf("%+v: %d rows, next %d, %v; want %d, %d", c.f, n, next, err, c.n, c.next)
		}
	}
	n := 0
	next, err := report.Rows(t.Context(), l, b, report.Filter{Outcome: failed}, func(report.Entry) error {
		if n++; n == 3 {
			return report.ErrStop
		}
		return nil
	})
	if err != nil || next != 22 {
		t.Errorf("stopped before row %d, %v", next, err)
	}
}

// TestAdvice: for every outcome it is said what it means, and for every failed one
// what to do.
func TestAdvice(t *testing.T) {
	for _, o := range ledger.Outcomes() {
		for _, status := range []int{0, 200, 400, 401, 403, 404, 409, 500, 503} {
			for _, code := range []string{"", "403", "487", "9999"} {
				a := report.Advise(o, status, code)
				if a.What == "" || o.Group() == ledger.GroupFailed && a.Do == "" {
					t.Errorf("%s %d %s: %+v", o, status, code, a)
				}
			}
		}
	}
}
