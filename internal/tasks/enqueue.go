package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// Request is one enqueue.
type Request struct {
	Input   *roster.Input
	Summary *roster.Summary // of Input.Check with the same Options
	Options roster.Options
	Key     string
	Again   bool
	Queue   string        // one of Queues
	Expire  time.Duration // from now to the rows' deadline
	Keep    time.Duration // how long the batch can be read after that
	// Progress is told how far the enqueue is. It may be called by several at once,
	// and not in order.
	Progress func(rows int64)
}

// BatchID is the id of the batch that the request describes, another each time
// with Again.
func (r Request) BatchID() string {
	return Identity{Sum: r.Summary.Sum, Options: r.Options, Key: r.Key, Again: r.Again}.BatchID()
}

// flightRows is how many rows are stored and enqueued together at most: whole
// buckets, few enough to keep memory small. The first flights are smaller, so that
// Redis has something to do soon.
const (
	flightRows      = 16 * ledger.BucketRows
	firstFlightRows = 2 * ledger.BucketRows
)

// Enqueue makes the batch that the request describes and enqueues its tasks. A
// batch that is there already is completed if its enqueue was interrupted, and
// otherwise left alone; existing tells that it was there.
//
// It can be interrupted at any point and run again: every step writes the same
// a second time.
func (q *Queue) Enqueue(ctx context.Context, r Request) (b ledger.Batch, existing bool, err error) {
	meta, err := json.Marshal(newLayout(r.Summary.Files, r.Options))
	if err != nil {
		return b, false, fmt.Errorf("encode layout: %w", err)
	}
	wanted := ledger.Batch{
		ID: r.BatchID(), Rows: r.Summary.Rows, Queue: r.Queue, Expire: r.Expire, Keep: r.Keep,
		Layout: meta, Rejected: r.Summary.Rejected,
	}
	b, created, err := q.Ledger.Create(ctx, wanted)
	if err == nil && b.Sealed {
		if err = q.Ledger.Prolong(ctx, b); !errors.Is(err, ledger.ErrNoBatch) {
			return b, true, err
		}
		b, created, err = q.Ledger.Create(ctx, wanted) // it expired at this moment
	}
	if err != nil || b.Sealed {
		return b, !created, err
	}
	b.Totals, err = q.sendRows(ctx, b, r)
	if err != nil {
		return b, !created, err
	}
	return b, !created, q.Ledger.Seal(ctx, b, b.Totals)
}

// sendRows reads and packs the rows and sends them to Redis, at once: while one
// flight fills, those before it are stored and enqueued. The order is the reason
// that nothing is lost: a flight's tasks are enqueued when the sources of all rows
// up to there are stored, and what supersedes older ones.
func (q *Queue) sendRows(ctx context.Context, b ledger.Batch, r Request) (t ledger.Totals, err error) {
	g, ctx := errgroup.WithContext(ctx)
	full, stored := make(chan *flight), make(chan *flight)
	g.Go(func() error {
		defer close(full)
		f := &flight{most: firstFlightRows}
		t, err = plan(ctx, r, func(k *pack) { f.packs = append(f.packs, k) }, func(rec roster.Record) error {
			if f.rows == f.most {
				if err := hand(ctx, full, f); err != nil {
					return err
				}
				f = f.next()
			}
			f.add(rec)
			return nil
		})
		if err != nil {
			return err
		}
		return hand(ctx, full, f)
	})
	g.Go(func() error {
		defer close(stored)
		for f := range full {
			if err := q.Ledger.Put(ctx, b, f.first, f.sources, f.calls()); err != nil {
				return err
			}
			if err := hand(ctx, stored, f); err != nil {
				return err
			}
		}
		return nil
	})
	for range senders {
		g.Go(func() error {
			for f := range stored {
				if err := q.sendAll(ctx, b, f.packs); err != nil {
					return err
				}
				if r.Progress != nil {
					r.Progress(f.total)
				}
			}
			return nil
		})
	}
	err = g.Wait()
	return t, err
}

// senders is how many flights are enqueued at once: the tasks of one are made
// while Redis takes those of another.
const senders = 2

func hand(ctx context.Context, to chan<- *flight, f *flight) error {
	select {
	case to <- f:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// plan hands out the rows, each before the pack that it completes, and the packs.
func plan(ctx context.Context, r Request, packed func(*pack), row func(roster.Record) error) (t ledger.Totals, err error) {
	calls := newDistinct()
	defer func() { err = errors.Join(err, calls.close()) }()
	p := newPacker(func(k *pack) error {
		t.Tasks += k.rounds()
		packed(k)
		return calls.add(k.call)
	})
	err = r.Input.Each(ctx, r.Options, func(rec roster.Record) error {
		if rec.Change.Action == roster.Invite {
			t.Invites++
		} else {
			t.Deletes++
		}
		if err := row(rec); err != nil {
			return err
		}
		return p.add(rec.Change)
	}, nil)
	if err == nil {
		err = p.flush()
	}
	if err == nil {
		t.Calls, err = calls.count()
	}
	return t, err
}

// flight is what goes to Redis together.
type flight struct {
	first   int64 // bucket of sources[0]
	sources [][]byte
	above   []string // the row before, if it is in the last of these
	rows    int
	most    int   // rows
	total   int64 // rows of the batch, those of this flight included
	packs   []*pack
}

// add takes up a row's source.
func (f *flight) add(rec roster.Record) {
	if f.rows%ledger.BucketRows == 0 {
		f.sources, f.above = append(f.sources, nil), f.above[:0]
	}
	last := len(f.sources) - 1
	f.sources[last] = appendSource(f.sources[last], rec, f.above)
	f.above = append(f.above[:0], rec.Cells...)
	f.rows++
	f.total++
}

// next is the flight after this one.
func (f *flight) next() *flight {
	return &flight{first: f.first + int64(len(f.sources)), total: f.total, most: min(2*f.most, flightRows)}
}

// calls are the rows of the packs, as the ledger wants them.
func (f *flight) calls() []ledger.CallRows {
	calls := make([]ledger.CallRows, len(f.packs))
	for i, k := range f.packs {
		calls[i] = ledger.CallRows{Call: k.call, Rows: refs(k.rows)}
	}
	return calls
}
