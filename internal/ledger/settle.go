package ledger

import (
	"context"
	"errors"
	"fmt"
)

// Settlement is a row's new state.
type Settlement struct {
	N   int64
	Row Row

	was string // the record it is thought to have, if the new one is pending
}

// write is settle, at once.
func (l *Ledger) write(ctx context.Context, b Batch, rows []Settlement) (written []bool, has []string, err error) {
	keys, args := byHash(b.ID, len(rows), func(i int) int64 { return rows[i].N },
		settleKeys(b.ID), []any{seconds(b.keyLife()), b.Base},
		func(args []any, i int, field string) []any {
			return append(args, field, rows[i].was, rows[i].Row.encode(b.CreatedAt))
		})
	got, err := settleScript.Run(ctx, l.rdb, keys, args...).Slice()
	switch {
	case err != nil:
		return nil, nil, wrap(err)
	case len(got) == 0 || got[0] == int64(-1):
		return nil, nil, fmt.Errorf("batch %q: %w", b.ID, ErrNoBatch)
	case len(got) != 1+len(rows):
		return nil, nil, errors.New("ledger: Redis answered a settlement with a wrong number of values")
	}
	written, has = make([]bool, len(rows)), make([]string, len(rows))
	for i := range rows {
		written[i] = got[1+i] == int64(1)
		has[i], _ = got[1+i].(string)
	}
	if got[0] == int64(1) {
		// If this fails, the batch is found finished by whoever next reads the list.
		_ = l.unlist(ctx, b.ID)
	}
	return written, has, nil
}

// SettleUnsent gives rows an outcome that have never been handed to a task, so
// that nobody can be working on them: those whose source was not stored because
// their enqueue was interrupted. It returns how many had none.
func (l *Ledger) SettleUnsent(ctx context.Context, b Batch, first, last int64, r Row) (settled int64, err error) {
	now, err := l.rdb.Time(ctx).Result()
	if err != nil {
		return 0, wrap(err)
	}
	r.At = now
	for first <= last {
		n := min(last-first+1, BucketRows)
		rows := make([]Settlement, n)
		for i := range rows {
			rows[i] = Settlement{N: first + int64(i), Row: r}
		}
		written, _, err := l.settle(ctx, b, rows)
		if err != nil {
			return settled, err
		}
		for _, w := range written {
			if w {
				settled++
			}
		}
		first += n
	}
	return settled, nil
}
