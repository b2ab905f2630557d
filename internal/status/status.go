// Package status is the JSON of a batch: what commands print of it and what
// notices carry, in the same words. It must not know how either is delivered.
package status

import (
	"time"

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

// Of returns the JSON of 'batch status'.
func Of(st ledger.Status) Status { return Status{SummaryOf(st.Batch), ProgressOf(st)} }
