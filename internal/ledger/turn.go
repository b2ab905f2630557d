package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// RowRef names a row and the participants it is about.
type RowRef struct {
	N    int64    // number in the batch, from 1
	Keys []string // participant keys within the call
}

// Standing is what Begin found out about a row.
type Standing uint8

// The standings of a row.
const (
	Ready   Standing = iota // claimed: work on it
	Settled                 // it has its outcome, perhaps only now: superseded, cancelled or expired
	Busy                    // someone works on its participant: come back
	Later                   // it is not to be tried yet: come back at Row.At
)

// Ring is an invitation of an older row to the same participant.
type Ring struct {
	Until time.Time // it may ring until then; zero: there is none
	// Named says that it gives the participant the id that this row names first,
	// so that removing that id cancels it.
	Named bool
}

// Instead is the outcome of a row that must not be sent (any more), superseded,
// cancelled or expired, and why; or Pending if it may be.
type Instead struct {
	Outcome Outcome
	Why     string
}

// Turn is the right to work on some rows of one call. It must be ended.
type Turn struct {
	l        *Ledger
	batch    Batch
	call     string
	owner    string
	claimed  time.Time // on the local clock, before the claims were taken
	start    time.Time // on the local clock, before Redis' clock said redisAt
	answered time.Time // and after
	redisAt  time.Time
	deadline time.Time // of the batch
	refs     []RowRef
	records  []string   // of each row, as Redis has them
	tried    [][]string // of each row, those whose writing has not been answered

	Standings []Standing // of each row given to Begin
	Rows      []Row      // what is known of each: what the ledger had, then what was recorded
	// Instead is what becomes of a row with an intent that would have to be sent
	// again, if it must not be.
	Instead []Instead
	Rings   []Ring       // of each row that is Ready
	Changed []time.Time  // when the participants of each were last changed, zero if not within a minute
	Skipped []Settlement // rows that got their outcome from Begin

	held   []string // participant fields claimed
	dirty  []string // those of participants who may have been changed
	quiet  []RowRef // whose participants are not rung any more
	cancel context.CancelCauseFunc
	keeper sync.WaitGroup
	ended  sync.Once
}

// Begin claims the participants of the rows and reads the rows' state. Rows
// that have been superseded, cancelled or have expired get that outcome here,
// unless an invitation was sent for them: what came of it must be found out.
// The claims are renewed until End. The context that is returned ends with the
// turn, or with ErrClaimLost as its cause once the claims may have run out.
//
// The order matters: an outcome is written before its claim is given up, so a
// row that is claimed and then found pending has nobody else working on it.
func (l *Ledger) Begin(ctx context.Context, b Batch, call string, refs []RowRef) (context.Context, *Turn, error) {
	n := len(refs)
	t := &Turn{
		l: l, batch: b, call: call, owner: rand.Text(), refs: refs, records: make([]string, n), tried: make([][]string, n),
		Standings: make([]Standing, n), Rows: make([]Row, n), Instead: make([]Instead, n),
		Rings: make([]Ring, n), Changed: make([]time.Time, n),
	}
	verdicts, err := t.claim(ctx)
	if err != nil {
		return nil, nil, err
	}
	err = t.decide(ctx, verdicts)
	if err == nil {
		err = t.fresh()
	}
	if err != nil {
		// The claims run out by themselves if Redis cannot be told.
		_ = t.release(context.WithoutCancel(ctx), t.held)
		return nil, nil, err
	}
	ctx, t.cancel = context.WithCancelCause(ctx)
	if len(t.held) > 0 {
		t.keeper.Go(func() { t.keep(ctx) })
	}
	return ctx, t, nil
}

// decide reads the rows and turns verdicts into standings.
func (t *Turn) decide(ctx context.Context, verdicts []int64) (err error) {
	held := t.held
	defer func() {
		if err != nil {
			t.held = held
		}
	}()
	state, err := t.inspect(ctx)
	if err != nil {
		return err
	}
	if err := t.fresh(); err != nil {
		return err
	}
	t.deadline = state.deadline
	var settle []Settlement
	t.held = nil
	for i, r := range t.refs {
		row := &t.Rows[i]
		instead := t.instead(verdicts[i], state, *row)
		switch {
		case row.Outcome != Pending:
			t.Standings[i] = Settled
		case verdicts[i] == busy, verdicts[i] == busyNewer && row.Intent.sent():
			t.Standings[i] = Busy
		case instead.Outcome != Pending && !row.Intent.sent():
			s := Settlement{N: r.N, Row: *row}
			s.Row.Outcome, s.Row.Detail, s.Row.At = instead.Outcome, instead.Why, t.Now()
			settle = append(settle, s)
			t.Standings[i] = Settled
		case row.At.After(t.redisAt):
			t.Standings[i] = Later
		default:
			t.Instead[i] = instead
			t.held = append(t.held, fieldsOf(r)...)
		}
	}
	if len(settle) > 0 {
		written, err := t.Record(ctx, settle...)
		if err != nil {
			return err
		}
		t.dirty = nil // nothing was done at Graph
		for i, s := range settle {
			if written[i] {
				t.Skipped = append(t.Skipped, s)
			}
		}
	}
	// Two rows of a turn can be about one participant: one's claim is the other's.
	give := slices.DeleteFunc(slices.Clone(held), func(f string) bool { return slices.Contains(t.held, f) })
	if len(give) == 0 {
		return nil
	}
	return t.release(ctx, give)
}

func (t *Turn) instead(verdict int64, state batchState, row Row) Instead {
	switch {
	case verdict == outdated, verdict == busyNewer:
		return Instead{Superseded, "a newer change to the same participant exists"}
	case state.cancelled:
		return Instead{Cancelled, "the batch was cancelled"}
	case !state.deadline.After(t.redisAt):
		why := "not applied before the deadline of the batch"
		if row.Detail != "" {
			why += "; last seen: " + row.Detail
		}
		return Instead{Expired, why}
	}
	return Instead{}
}

type batchState struct {
	cancelled bool
	deadline  time.Time
}

func (t *Turn) inspect(ctx context.Context) (batchState, error) {
	keys, args := byHash(t.batch.ID, len(t.refs), func(i int) int64 { return t.refs[i].N },
		[]string{metaKey(t.batch.ID)}, nil, func(args []any, _ int, field string) []any { return append(args, field) })
	t.start = time.Now()
	got, err := inspectScript.Run(ctx, t.l.rdb, keys, args...).Slice()
	if err != nil {
		return batchState{}, wrap(err)
	}
	if len(got) != 5+len(t.refs) {
		return batchState{}, errors.New("ledger: Redis answered an inspection with a wrong number of values")
	}
	t.answered = time.Now()
	now, _ := got[0].(int64)
	t.redisAt = time.UnixMilli(now)
	created, ok := millis(got[1])
	// Made anew after Redis had lost it, the batch has other numbers, and tasks of its own.
	if !ok || got[4] != strconv.FormatInt(t.batch.Base, 10) {
		return batchState{}, fmt.Errorf("batch %q: %w", t.batch.ID, ErrNoBatch)
	}
	deadline, _ := millis(got[2])
	t.batch.CreatedAt = created
	for i := range t.refs {
		t.records[i], _ = got[5+i].(string)
		if t.Rows[i], err = decodeRow(t.records[i], created); err != nil {
			return batchState{}, err
		}
	}
	return batchState{cancelled: got[3] != nil, deadline: deadline}, nil
}

func millis(v any) (time.Time, bool) {
	s, _ := v.(string)
	ms, err := strconv.ParseInt(s, 10, 64)
	return fromMillis(ms), err == nil
}

// fromMillis is a time as scripts write it; 0 is none.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// Now is the time on Redis' clock, which all workers share.
func (t *Turn) Now() time.Time { return t.redisAt.Add(time.Since(t.start)) }

// Local is when, on this machine's clock, Redis' clock has shown at; rather a
// little later than earlier.
func (t *Turn) Local(at time.Time) time.Time { return t.answered.Add(at.Sub(t.redisAt)) }

// Created is when the batch was created, on Redis' clock.
func (t *Turn) Created() time.Time { return t.batch.CreatedAt }

// Overdue tells whether the batch's deadline has passed since Begin.
func (t *Turn) Overdue() bool { return !t.deadline.After(t.Now()) }

func (t *Turn) index(n int64) int {
	return slices.IndexFunc(t.refs, func(r RowRef) bool { return r.N == n })
}

// Intend writes down that the participants of some rows are about to be rung,
// and may ring for the time given. Each row must be as it shall be recorded
// while the answer is not known; its Intent.At is set here. Only those may be
// rung for which written is true. After an error nobody may be.
//
// It must come right before the request: a row with an intent is looked at and
// not sent, until an answer says that it was surely not applied and the intent
// is recorded away.
func (t *Turn) Intend(ctx context.Context, ring time.Duration, rows ...Settlement) (written []bool, err error) {
	refs := make([]RowRef, len(rows))
	for i, s := range rows {
		refs[i] = t.refs[t.index(s.N)]
	}
	args := append([]any{t.owner, ring.Milliseconds()}, t.rowArgs(refs)...)
	t.quiet = slices.DeleteFunc(t.quiet, func(q RowRef) bool {
		return slices.ContainsFunc(rows, func(s Settlement) bool { return s.N == q.N })
	})
	// Others must wait for the ringing before the row says that it rings.
	now, err := intendScript.Run(ctx, t.l.rdb, []string{claimsKey(t.call), ringingKey(t.call)}, args...).Int64()
	if err != nil {
		return nil, wrap(err)
	}
	if now < 0 {
		return nil, ErrClaimLost
	}
	rows = slices.Clone(rows)
	for i := range rows {
		rows[i].Row.Intent.At = time.UnixMilli(now)
	}
	if written, err = t.Record(ctx, rows...); err != nil {
		return nil, err
	}
	return written, t.l.confirmed(ctx, batchFence(t.batch.ID), callFence(t.call))
}

// LastChange is when participants of the call were last changed, by their keys:
// now if someone else works on one, zero if none was changed within a minute.
func (t *Turn) LastChange(ctx context.Context, keys ...string) (time.Time, error) {
	args := []any{t.owner}
	for _, k := range keys {
		args = append(args, participantField(k))
	}
	ms, err := changedScript.Run(ctx, t.l.rdb, []string{claimsKey(t.call), changedKey(t.call)}, args...).Int64()
	return fromMillis(ms), wrap(err)
}

// Record writes rows' states: an outcome, or what is known while they are
// pending. A row that has its outcome, and a pending one that somebody else has
// written in between, is left as it is, without an error and with written false.
// At is set to now where it is zero and there is an outcome. Rows then has what
// the ledger has. After an error it can be called again.
func (t *Turn) Record(ctx context.Context, rows ...Settlement) (written []bool, err error) {
	rows = slices.Clone(rows)
	unanswered, rang := make([][]string, len(rows)), make([]bool, len(rows))
	for i := range rows {
		s := &rows[i]
		at := t.index(s.N)
		unanswered[i], rang[i] = t.tried[at], t.Rows[at].Intent.sent()
		if s.Row.Outcome != Pending {
			s.Row.Intent = Intent{}
			if s.Row.At.IsZero() {
				s.Row.At = t.Now()
			}
		}
	}
	// Also where it is not written: something was done at Graph before this.
	for _, s := range rows {
		t.dirty = append(t.dirty, fieldsOf(t.refs[t.index(s.N)])...)
	}
	if written, err = t.settle(ctx, rows); err != nil {
		return nil, err
	}
	for i, s := range rows {
		at := t.index(s.N)
		// What this turn has written without getting an answer is nobody else's.
		switch {
		case written[i] || !slices.Contains(unanswered[i], t.records[at]):
		case t.Rows[at].Outcome != Pending:
			written[i] = true
		default:
			again, err := t.settle(ctx, rows[i:i+1])
			if err != nil {
				return nil, err
			}
			written[i] = again[0]
		}
		// One that was accepted and is not looked at rings on, and so does an
		// older row's if this one has neither rung nor shown that nobody rings.
		over := rang[i] || s.Row.Outcome.Group() == GroupDone
		if written[i] && over && !s.Row.Intent.sent() && s.Row.Outcome != Invited {
			t.quiet = append(t.quiet, t.refs[at])
		}
	}
	return written, nil
}

// settle writes the rows over what they are known to have.
func (t *Turn) settle(ctx context.Context, rows []Settlement) ([]bool, error) {
	records := make([]string, len(rows))
	for i := range rows {
		at := t.index(rows[i].N)
		rows[i].was = t.records[at]
		records[i] = string(rows[i].Row.encode(t.batch.CreatedAt))
		t.tried[at] = append(t.tried[at], records[i])
	}
	written, has, err := t.l.settle(ctx, t.batch, rows)
	if err != nil {
		return nil, err
	}
	for i, s := range rows {
		at := t.index(s.N)
		t.tried[at] = nil
		if written[i] {
			t.Rows[at], t.records[at] = s.Row, records[i]
			continue
		}
		t.records[at] = has[i]
		if t.Rows[at], err = decodeRow(has[i], t.batch.CreatedAt); err != nil {
			return nil, err
		}
	}
	return written, nil
}
