package tasks

import (
	"context"
	"errors"
	"fmt"

	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// visitors is how many packs are revisited at once: fewer than a client has
// connections, or claims would age while their holder waits for one.
const visitors = 8

// revisit packs the rows of a batch as its enqueue did and calls f for the packs
// that have pending rows, many at a time. It returns the number of the first
// row whose source was never stored (Rows+1 if all were).
func (q *Queue) revisit(ctx context.Context, b ledger.Batch, f func(ctx context.Context, k *pack) error) (unsent int64, err error) {
	sources, err := SourcesOf(b)
	if err != nil {
		return 0, err
	}
	var ready []*pack
	pending := map[int64]bool{} // of the rows in open packs
	p := newPacker(func(k *pack) error {
		alive := false
		for _, c := range k.rows {
			alive = alive || pending[c.Row]
			delete(pending, c.Row)
		}
		if alive {
			ready = append(ready, k)
		}
		return nil
	})
	unsent = b.Rows + 1
	hand := func(least int) error {
		if len(ready) < least {
			return nil
		}
		err := each(ctx, ready, visitors, f)
		ready = ready[:0]
		return err
	}
	err = q.Ledger.Buckets(ctx, b, func(bucket ledger.Bucket) error {
		if unsent <= b.Rows {
			return nil
		}
		rows, err := sources.Rows(bucket.Source)
		if err != nil {
			return err
		}
		if len(rows) < len(bucket.Rows) {
			unsent = bucket.First + int64(len(rows))
		}
		for i, r := range rows {
			if i >= len(bucket.Rows) {
				return fmt.Errorf("batch %s: %w", b.ID, errCompact)
			}
			c, err := sources.Change(bucket.First+int64(i), r)
			if err != nil {
				return err
			}
			if bucket.Rows[i].Outcome == ledger.Pending {
				pending[c.Row] = true
			}
			if err := p.add(c); err != nil {
				return err
			}
		}
		return hand(32 * visitors)
	})
	if err != nil {
		return 0, err
	}
	if err := p.flush(); err != nil {
		return 0, err
	}
	return unsent, hand(1)
}

// Requeue puts every task back that has pending rows and is not in the queue. It
// returns how many those were.
func (q *Queue) Requeue(ctx context.Context, b ledger.Batch) (back int, err error) {
	r, err := q.reviver(ctx, b)
	if err != nil {
		return 0, err
	}
	_, err = q.revisit(ctx, b, r.revive)
	return int(r.back.Load()), err
}

// ErrUnderWay means that rows of a cancelled batch are still being worked on.
var ErrUnderWay = errors.New("rows of the cancelled batch are still under way: try again in a moment")

// Retryable are the outcomes that a retry can undo, by a word: failed, expired or
// cancelled. What is done must not be done again, and what was superseded would be
// again.
func Retryable(word string) (which []ledger.Outcome, ok bool) {
	switch word {
	case "failed":
		return []ledger.Outcome{ledger.Rejected, ledger.Declined, ledger.Unresolved, ledger.Exhausted}, true
	case "expired":
		return []ledger.Outcome{ledger.Expired}, true
	case "cancelled":
		return []ledger.Outcome{ledger.Cancelled}, true
	}
	return nil, false
}

// Retry makes the rows pending again that ended with one of the outcomes, and
// enqueues them. It returns how many they were. An interrupted Retry can be run
// again.
func (q *Queue) Retry(ctx context.Context, b ledger.Batch, which []ledger.Outcome) (int64, error) {
	st, err := q.Ledger.Status(ctx, b.ID)
	if err != nil {
		return 0, err
	}
	if st.State == ledger.Stopped && st.Pending > 0 {
		// Reopening would un-cancel rows that were never to be sent.
		if err := q.closeCancelled(ctx, b); err != nil {
			return 0, err
		}
		if st, err = q.Ledger.Status(ctx, b.ID); err != nil {
			return 0, err
		}
		if st.Pending > 0 {
			return 0, ErrUnderWay
		}
	}
	n, err := q.Ledger.Reopen(ctx, b, which)
	if err != nil {
		return n, err
	}
	// Also where nothing was reopened now: an earlier Retry may have been cut off.
	r, err := q.reviver(ctx, b)
	if err != nil {
		return n, err
	}
	_, err = q.revisit(ctx, b, func(ctx context.Context, k *pack) error {
		// What supersedes the rows must be remembered as long as they live.
		if err := q.Ledger.Put(ctx, b, 0, nil, []ledger.CallRows{{Call: k.call, Rows: refs(k.rows)}}); err != nil {
			return err
		}
		return r.revive(ctx, k)
	})
	return n, err
}

// Cancel makes sure that no row of the batch is sent any more. Rows that are
// being worked on at this moment get their own outcome.
func (q *Queue) Cancel(ctx context.Context, b ledger.Batch) error {
	if err := q.Ledger.Cancel(ctx, b); err != nil {
		return err
	}
	return q.closeCancelled(ctx, b)
}

// closeCancelled gives pending rows of a batch that was cancelled their outcome.
// It does not cancel: the batch may have been retried since the caller looked.
func (q *Queue) closeCancelled(ctx context.Context, b ledger.Batch) error {
	return q.close(ctx, b, cancelledRow, func(roster.Action, ledger.Outcome) {})
}

// What rows get that were never enqueued, as their enqueue was interrupted.
var (
	cancelledRow = ledger.Row{Outcome: ledger.Cancelled, Detail: "the batch was cancelled"}
	expiredRow   = ledger.Row{Outcome: ledger.Expired, Detail: "never enqueued: its enqueue was interrupted and not run again"}
)

// close gives pending rows of a cancelled or expired batch their outcome: those
// that were enqueued by beginning them, which respects whoever works on them,
// and those that never were directly. It tells each of them; of the latter it is
// not known what they were to do.
func (q *Queue) close(ctx context.Context, b ledger.Batch, unsentRow ledger.Row, tell func(roster.Action, ledger.Outcome)) error {
	unsent, err := q.revisit(ctx, b, func(ctx context.Context, k *pack) error {
		_, turn, err := q.Ledger.Begin(ctx, b, k.call, refs(k.rows))
		if err != nil {
			return err
		}
		for _, s := range turn.Skipped {
			tell(k.action, s.Row.Outcome)
		}
		return turn.End(ctx)
	})
	if err != nil {
		return err
	}
	settled, err := q.Ledger.SettleUnsent(ctx, b, unsent, b.Rows, unsentRow)
	for range settled {
		tell(0, unsentRow.Outcome)
	}
	return err
}
