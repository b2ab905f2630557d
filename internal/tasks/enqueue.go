package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// Request is one enqueue.
type Request struct {
	Input    *roster.Input
	Summary  *roster.Summary // of Input.Check with the same Options
	Options  roster.Options
	Key      string
	Again    bool
	Queue    string        // one of Queues
	Expire   time.Duration // from now to the rows' deadline
	Keep     time.Duration // how long the batch can be read after that
	Progress func(rows int64)
}

// flightRows is how many rows are stored and enqueued together: whole buckets,
// few enough to keep memory small.
const flightRows = 16 * ledger.BucketRows

// Enqueue makes the batch that the request describes and enqueues its tasks. A
// batch that is there already is completed if its enqueue was interrupted, and
// otherwise left alone; existing tells that it was there.
//
// It can be interrupted at any point and run again: every step writes the same
// a second time.
func (q *Queue) Enqueue(ctx context.Context, r Request) (b ledger.Batch, existing bool, err error) {
	id := Identity{Sum: r.Summary.Sum, Options: r.Options, Key: r.Key, Again: r.Again}.BatchID()
	meta, err := json.Marshal(newLayout(r.Summary.Files, r.Options))
	if err != nil {
		return b, false, fmt.Errorf("encode layout: %w", err)
	}
	b, created, err := q.Ledger.Create(ctx, ledger.Batch{
		ID: id, Rows: r.Summary.Rows, Queue: r.Queue, Expire: r.Expire, Keep: r.Keep,
		Layout: meta, Rejected: r.Summary.Rejected,
	})
	if err != nil || b.Sealed {
		return b, !created, err
	}
	f := &flight{q: q, batch: b}
	b.Totals, err = plan(ctx, r, f)
	if err != nil {
		return b, !created, err
	}
	return b, !created, q.Ledger.Seal(ctx, b, b.Totals)
}

// Plan computes the totals that Enqueue would end with, and contacts nobody.
func Plan(ctx context.Context, r Request) (ledger.Totals, error) {
	return plan(ctx, r, nil)
}

// plan runs the rows through the packer, into f where that is not nil.
func plan(ctx context.Context, r Request, f *flight) (ledger.Totals, error) {
	var t ledger.Totals
	seed := maphash.MakeSeed()
	calls := map[uint64]struct{}{}
	p := newPacker(func(k *pack) error {
		t.Tasks++
		calls[maphash.String(seed, k.call)] = struct{}{}
		if f != nil {
			f.packs = append(f.packs, k)
		}
		return nil
	})
	err := r.Input.Each(ctx, r.Options, func(rec roster.Record) error {
		if rec.Change.Action == roster.Invite {
			t.Invites++
		} else {
			t.Deletes++
		}
		if err := p.add(rec.Change); err != nil {
			return err
		}
		if f == nil {
			return nil
		}
		return f.add(ctx, rec, r.Progress)
	}, nil)
	if err != nil {
		return t, err
	}
	if err := p.flush(); err != nil {
		return t, err
	}
	t.Calls = int64(len(calls))
	if f != nil {
		if err := f.send(ctx, r.Progress); err != nil {
			return t, err
		}
	}
	return t, nil
}

// flight is what is on its way to Redis. Its order is the reason that nothing
// is lost: first the rows' sources, then what supersedes older rows, then the
// tasks. A pack whose rows are not all stored yet is not in packs yet.
type flight struct {
	q       *Queue
	batch   ledger.Batch
	first   int64 // bucket of sources[0]
	sources [][]byte
	rows    int64 // in this flight
	total   int64
	packs   []*pack
}

func (f *flight) add(ctx context.Context, rec roster.Record, progress func(int64)) error {
	if f.rows%ledger.BucketRows == 0 {
		f.sources = append(f.sources, nil)
	}
	last := len(f.sources) - 1
	f.sources[last] = appendSource(f.sources[last], rec)
	f.rows++
	f.total++
	if f.rows < flightRows {
		return nil
	}
	return f.send(ctx, progress)
}

func (f *flight) send(ctx context.Context, progress func(int64)) error {
	l := f.q.Ledger
	if err := l.PutSource(ctx, f.batch, f.first, f.sources); err != nil {
		return err
	}
	calls := make([]ledger.CallRows, len(f.packs))
	for i, k := range f.packs {
		calls[i] = ledger.CallRows{Call: k.call, Rows: refs(k.rows)}
	}
	if err := l.Observe(ctx, f.batch, calls); err != nil {
		return err
	}
	err := each(ctx, f.packs, senders, func(ctx context.Context, k *pack) error {
		_, err := f.q.send(ctx, f.batch, k)
		return err
	})
	if err != nil {
		return err
	}
	f.first += int64(len(f.sources))
	f.sources, f.packs, f.rows = f.sources[:0], f.packs[:0], 0
	if progress != nil {
		progress(f.total)
	}
	return nil
}
