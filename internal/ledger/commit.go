package ledger

import (
	"context"
	"slices"
	"time"
)

// commits writes what the tasks of a process settle at the same time in one
// script: while one is under way the next gathers, so none waits longer than for
// two, and each is written before its caller goes on, as if it were alone.
type commits struct {
	l     *Ledger
	batch Batch
	queue []*commit
}

type commit struct {
	ctx  context.Context
	rows []Settlement
	done chan struct{}

	written []bool
	has     []string
	err     error
}

// commitKey is a batch: one that was made anew after Redis had lost it is another.
type commitKey struct {
	id   string
	base int64
}

// commitRows is about how many rows are written at once, and commitTime how long
// Redis has for that.
const (
	commitRows = 200
	commitTime = 15 * time.Second
)

// settle writes states of rows of one batch: outcomes only where there is none,
// pending states only where nobody else has written one. For each row that was
// not written it gives the record that the row has.
func (l *Ledger) settle(ctx context.Context, b Batch, rows []Settlement) (written []bool, has []string, err error) {
	mine := &commit{ctx: ctx, rows: rows, done: make(chan struct{})}
	key := commitKey{b.ID, b.Base}
	l.mu.Lock()
	c := l.commits[key]
	if c == nil {
		c = &commits{l: l, batch: b}
		l.commits[key] = c
		go c.run(context.WithoutCancel(ctx), key)
	}
	c.queue = append(c.queue, mine)
	l.mu.Unlock()
	select {
	case <-mine.done:
		return mine.written, mine.has, mine.err
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// run writes until there is nothing more to write.
func (c *commits) run(ctx context.Context, key commitKey) {
	for {
		c.l.mu.Lock()
		some, n := 0, 0
		for some < len(c.queue) && n < commitRows {
			n += len(c.queue[some].rows)
			some++
		}
		now := c.queue[:some:some]
		c.queue = c.queue[some:]
		if some == 0 {
			delete(c.l.commits, key)
			c.l.mu.Unlock()
			return
		}
		c.l.mu.Unlock()
		c.write(ctx, now)
	}
}

func (c *commits) write(ctx context.Context, all []*commit) {
	ctx, cancel := context.WithTimeout(ctx, commitTime)
	defer cancel()
	var rows []Settlement
	// Whose caller has gone is not begun any more: they may have given up their claims.
	all = slices.DeleteFunc(all, func(one *commit) bool { return one.ctx.Err() != nil })
	for _, one := range all {
		rows = append(rows, one.rows...)
	}
	if len(rows) == 0 {
		return
	}
	written, has, err := c.l.write(ctx, c.batch, rows)
	for _, one := range all {
		one.err = err
		if n := len(one.rows); err == nil {
			one.written, one.has = written[:n:n], has[:n:n]
			written, has = written[n:], has[n:]
		}
		close(one.done)
	}
}
