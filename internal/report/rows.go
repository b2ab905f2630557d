package report

import (
	"context"
	"errors"
	"strings"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/roster"
	"rollcall/internal/tasks"
)

// Filter chooses rows of a batch. The zero value takes all.
type Filter struct {
	Outcome func(ledger.Outcome) bool // nil: any
	Call    string                    // a part of the call's id, in any case
	Text    string                    // a part of any cell, of what happened, of Graph's code or request id, in any case
	From    int64                     // the first row that is looked at, from 1; 0 as 1
	// Until is when to stop, whether or not all rows have been looked at; zero: never.
	Until time.Time
}

// Entry is a row of a batch and what became of it.
type Entry struct {
	N      int64 // its number, from 1
	Row    ledger.Row
	Stored bool // its source is: File, Line and Cells are known
	File   roster.File
	Line   int
	Cells  []string // after File.Columns

	file    int
	sources *tasks.Sources
}

// Change is what the row asks for, as far as that can be read.
func (e Entry) Change() roster.Change {
	if !e.Stored {
		return roster.Change{Row: e.N}
	}
	c, _ := e.sources.Change(e.N, tasks.SourceRow{File: e.file, Line: e.Line, Cells: e.Cells})
	return c
}

// ErrStop ends Rows without being an error.
var ErrStop = errors.New("enough rows")

// Rows hands over the rows that f takes, in order. next is the first row that has
// not been looked at: one after the batch's last if all have been, or that after
// the one for which each returned ErrStop.
func Rows(ctx context.Context, l *ledger.Ledger, b ledger.Batch, f Filter, each func(Entry) error) (next int64, err error) {
	sources, err := tasks.SourcesOf(b)
	if err != nil {
		return 0, err
	}
	return rows(ctx, l, b, sources, f, each)
}

func rows(ctx context.Context, l *ledger.Ledger, b ledger.Batch, sources *tasks.Sources, f Filter, each func(Entry) error) (next int64, err error) {
	f.Call, f.Text = strings.ToLower(f.Call), strings.ToLower(f.Text)
	next = b.Rows + 1
	err = l.BucketsWith(ctx, b, f.From, f.Outcome, func(bucket ledger.Bucket) error {
		stored, err := sources.Rows(bucket.Source)
		if err != nil {
			return err
		}
		for i, row := range bucket.Rows {
			e := Entry{N: bucket.First + int64(i), Row: row}
			if e.N < f.From || f.Outcome != nil && !f.Outcome(row.Outcome) {
				continue
			}
			if i < len(stored) {
				s := stored[i]
				e.Stored, e.file, e.File, e.Line, e.Cells, e.sources = true, s.File, sources.Files[s.File], s.Line, s.Cells, sources
			}
			if !f.takes(e) {
				continue
			}
			if err := each(e); err != nil {
				next = e.N + 1
				return err
			}
		}
		if !f.Until.IsZero() && time.Now().After(f.Until) {
			next = bucket.First + int64(len(bucket.Rows))
			return ErrStop
		}
		return nil
	})
	if errors.Is(err, ErrStop) {
		err = nil
	}
	return next, err
}

// takes tells whether the entry has the filter's texts, which are lower case.
func (f Filter) takes(e Entry) bool {
	if f.Call != "" && !has(e.Change().CallID, f.Call) {
		return false
	}
	if f.Text == "" || has(e.Row.Detail, f.Text) || has(e.Row.Code, f.Text) || has(e.Row.RequestID, f.Text) {
		return true
	}
	for _, c := range e.Cells {
		if has(c, f.Text) {
			return true
		}
	}
	return false
}

func has(text, part string) bool { return strings.Contains(strings.ToLower(text), part) }
