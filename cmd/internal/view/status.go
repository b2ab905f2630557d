// Package view shows batches to people and programs: as JSON, as text, while
// they run, and as report files. It must not know how batches are made or
// rows carried out; it asks the queue for who works and what is allowed.
package view

import (
	"fmt"
	"io"
	"strings"
	"time"

	"rollcall/cmd/internal/cli"
	"rollcall/internal/ledger"
	"rollcall/internal/status"
)

// Summary are the JSON fields of a batch that its enqueue tells.
type Summary = status.Summary

// Progress are the JSON fields of a batch that change while it runs.
type Progress = status.Progress

// Status is the JSON of 'batch status'.
type Status = status.Status

// SummaryOf returns a batch's summary.
func SummaryOf(b ledger.Batch) Summary { return status.SummaryOf(b) }

// ProgressOf returns how far a batch is.
func ProgressOf(st ledger.Status) Progress { return status.ProgressOf(st) }

// StatusOf returns the JSON of 'batch status'.
func StatusOf(st ledger.Status) Status { return status.Of(st) }

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
