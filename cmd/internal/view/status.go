// Package view shows batches to people and programs: as JSON, as text, while
// they run, and as report files. It must not know how batches are made or
// carried out.
package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"rollcall/cmd/internal/cli"
	"rollcall/internal/ledger"
)

// Summary are the JSON fields of a batch that its enqueue tells.
type Summary struct {
	Batch    string `json:"batch"`
	Rows     int64  `json:"rows"`
	Tasks    int64  `json:"tasks"`
	Invites  int64  `json:"invites"`
	Deletes  int64  `json:"deletes"`
	Calls    int64  `json:"calls"`
	Rejected int64  `json:"rejected"`
}

// SummaryOf returns a batch's summary.
func SummaryOf(b ledger.Batch) Summary {
	return Summary{
		Batch: b.ID, Rows: b.Rows, Rejected: b.Rejected, Tasks: b.Totals.Tasks,
		Invites: b.Totals.Invites, Deletes: b.Totals.Deletes, Calls: b.Totals.Calls,
	}
}

// Progress are the JSON fields of a batch that change while it runs.
type Progress struct {
	State      ledger.State     `json:"state"`
	Pending    int64            `json:"pending"`
	Outcomes   map[string]int64 `json:"outcomes"`
	CreatedAt  time.Time        `json:"created_at"`
	FinishedAt *time.Time       `json:"finished_at"`
}

// ProgressOf returns how far a batch is.
func ProgressOf(st ledger.Status) Progress {
	p := Progress{State: st.State, Pending: st.Pending, Outcomes: map[string]int64{}, CreatedAt: st.CreatedAt}
	for o, n := range st.Outcomes {
		p.Outcomes[o.String()] = n
	}
	if !st.FinishedAt.IsZero() {
		p.FinishedAt = &st.FinishedAt
	}
	return p
}

// Status is the JSON of 'batch status'.
type Status struct {
	Summary
	Progress
}

// StatusOf returns the JSON of 'batch status'.
func StatusOf(st ledger.Status) Status { return Status{SummaryOf(st.Batch), ProgressOf(st)} }

// Exit is the exit status of a command that waited for the batch.
func Exit(st ledger.Status) error {
	if st.Failed() > 0 {
		return cli.Exit(cli.StatusRowsFailed)
	}
	return nil
}

// Text writes a batch's status for people.
func Text(w io.Writer, st ledger.Status) error {
	var b strings.Builder
	fmt.Fprintf(&b, "batch %s: %s, %d rows, %d pending\n", st.ID, st.State, st.Rows, st.Pending)
	for _, o := range ledger.Outcomes() {
		if n := st.Outcomes[o]; n > 0 {
			fmt.Fprintf(&b, "  %-8s %-16s %d\n", o.Group(), o, n)
		}
	}
	fmt.Fprintf(&b, "  created  %s\n", st.CreatedAt.Format(time.RFC3339))
	if !st.FinishedAt.IsZero() {
		fmt.Fprintf(&b, "  finished %s\n", st.FinishedAt.Format(time.RFC3339))
	}
	if !st.Sealed {
		b.WriteString("  its enqueue is still running, or was interrupted: the same enqueue again completes it\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
