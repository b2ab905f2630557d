package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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

// Turn is the right to work on some rows of one call. It must be ended.
type Turn struct {
	l       *Ledger
	batch   Batch
	call    string
	owner   string
	claimed time.Time // on the local clock, before the claims were taken
	start   time.Time // on the local clock, when Redis' clock said redisAt
	redisAt time.Time

	deadline time.Time // of the batch
	refs     []RowRef

	Standings []Standing   // of each row given to Begin
	Rows      []Row        // what the ledger knew of each
	Skipped   []Settlement // those that got their outcome from Begin

	held   []string // participant fields claimed
	cancel context.CancelCauseFunc
	keeper sync.WaitGroup
	ended  sync.Once
}

// ErrClaimLost is the cause for which the context of a turn ends when its claims
// could not be renewed in time: others may work on the participants now.
var ErrClaimLost = errors.New("ledger: the claim on the participants ran out")

// Observe notes that rows of a call exist, so that older changes to their
// participants are superseded. It must come before their task is enqueued.
func (l *Ledger) Observe(ctx context.Context, b Batch, calls []CallRows) error {
	todo := make([]scriptCall, 0, len(calls))
	for _, c := range calls {
		args := []any{seconds(b.keyLife())}
		for _, r := range c.Rows {
			for _, k := range r.Keys {
				args = append(args, participantField(k), b.Seq(r.N))
			}
		}
		todo = append(todo, scriptCall{keys: []string{latestKey(c.Call)}, args: args})
	}
	return runAll(ctx, l.rdb, observeScript, todo)
}

// CallRows are rows of one call.
type CallRows struct {
	Call string // tenant/call
	Rows []RowRef
}

// Begin claims the participants of the rows and reads the rows' state. Rows
// that have been superseded, cancelled or have expired get that outcome here.
// The claims are renewed until End. The context that is returned ends with the
// turn, or with ErrClaimLost as its cause once the claims may have run out.
//
// The order matters: an outcome is written before its claim is given up, so a
// row that is claimed and then found pending has nobody else working on it.
func (l *Ledger) Begin(ctx context.Context, b Batch, call string, refs []RowRef) (context.Context, *Turn, error) {
	t := &Turn{
		l: l, batch: b, call: call, owner: rand.Text(), refs: refs,
		Standings: make([]Standing, len(refs)),
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

func (l *Ledger) claimLife() time.Duration {
	if l.ClaimLife > 0 {
		return l.ClaimLife
	}
	return DefaultClaimLife
}

// fresh returns ErrClaimLost if Redis was so slow that the claims may be somebody
// else's by the time they are used.
func (t *Turn) fresh() error {
	if time.Since(t.claimed) > t.l.claimLife()*2/3 {
		return ErrClaimLost
	}
	return nil
}

// Verdicts of claim.lua.
const (
	claimed    = 0
	superseded = 1
	busy       = 2
)

func (t *Turn) claim(ctx context.Context) ([]int64, error) {
	args := []any{t.owner, t.l.claimLife().Milliseconds()}
	for _, r := range t.refs {
		args = append(args, t.batch.Seq(r.N), len(r.Keys))
		for _, k := range r.Keys {
			args = append(args, participantField(k))
		}
	}
	t.claimed = time.Now()
	verdicts, err := claimScript.Run(ctx, t.l.rdb, []string{latestKey(t.call), claimsKey(t.call)}, args...).Int64Slice()
	if err != nil {
		return nil, wrap(err)
	}
	if len(verdicts) != len(t.refs) {
		return nil, errors.New("ledger: Redis answered a claim with a wrong number of verdicts")
	}
	for i, v := range verdicts {
		if v == claimed {
			t.held = append(t.held, fieldsOf(t.refs[i])...)
		}
	}
	return verdicts, nil
}

func fieldsOf(r RowRef) []string {
	fields := make([]string, len(r.Keys))
	for i, k := range r.Keys {
		fields[i] = participantField(k)
	}
	return fields
}

// decide reads the rows and turns verdicts into standings.
func (t *Turn) decide(ctx context.Context, verdicts []int64) error {
	state, err := t.inspect(ctx)
	if err != nil {
		return err
	}
	if err := t.fresh(); err != nil {
		return err
	}
	var settle []Settlement
	var give []string
	t.held = t.held[:0]
	t.deadline = state.deadline
	for i, r := range t.refs {
		row := &t.Rows[i]
		switch {
		case row.Outcome != Pending:
			t.Standings[i] = Settled
		case verdicts[i] == superseded:
			settle = append(settle, t.skip(i, Superseded, "a newer change to the same participant exists"))
		case verdicts[i] == busy:
			t.Standings[i] = Busy
		case state.cancelled:
			settle = append(settle, t.skip(i, Cancelled, "the batch was cancelled"))
		case !state.deadline.After(t.redisAt):
			settle = append(settle, t.skip(i, Expired, "not applied before the deadline of the batch"+lastError(*row)))
		case row.At.After(t.redisAt):
			t.Standings[i] = Later
		default:
			t.held = append(t.held, fieldsOf(r)...)
			continue
		}
		if verdicts[i] == claimed {
			give = append(give, fieldsOf(r)...)
		}
	}
	if len(settle) > 0 {
		written, err := t.l.settle(ctx, t.batch, settle)
		if err != nil {
			return err
		}
		for i, s := range settle {
			if written[i] {
				t.Skipped = append(t.Skipped, s)
			}
		}
	}
	return t.release(ctx, give)
}

func lastError(r Row) string {
	if r.Detail == "" {
		return ""
	}
	return "; last seen: " + r.Detail
}

func (t *Turn) skip(i int, o Outcome, detail string) Settlement {
	t.Standings[i] = Settled
	r := t.Rows[i]
	r.Outcome, r.Detail, r.At = o, detail, t.Now()
	return Settlement{N: t.refs[i].N, Row: r}
}

type batchState struct {
	cancelled bool
	deadline  time.Time
}

func (t *Turn) inspect(ctx context.Context) (batchState, error) {
	keys := []string{metaKey(t.batch.ID)}
	args := make([]any, len(t.refs))
	for i, r := range t.refs {
		bucket, field := bucketOf(r.N)
		keys = append(keys, rowsKey(t.batch.ID, bucket))
		args[i] = field
	}
	t.start = time.Now()
	got, err := inspectScript.Run(ctx, t.l.rdb, keys, args...).Slice()
	if err != nil {
		return batchState{}, wrap(err)
	}
	if len(got) != 4+len(t.refs) {
		return batchState{}, errors.New("ledger: Redis answered an inspection with a wrong number of values")
	}
	now, _ := got[0].(int64)
	t.redisAt = time.UnixMilli(now)
	created, ok := millis(got[1])
	if !ok {
		return batchState{}, fmt.Errorf("batch %q: %w", t.batch.ID, ErrNoBatch)
	}
	deadline, _ := millis(got[2])
	t.batch.CreatedAt = created
	t.Rows = make([]Row, len(t.refs))
	for i := range t.refs {
		record, _ := got[4+i].(string)
		if t.Rows[i], err = decodeRow(record, created); err != nil {
			return batchState{}, err
		}
	}
	return batchState{cancelled: got[3] != nil, deadline: deadline}, nil
}

func millis(v any) (time.Time, bool) {
	s, _ := v.(string)
	var ms int64
	if _, err := fmt.Sscan(s, &ms); err != nil {
		return time.Time{}, false
	}
	return time.UnixMilli(ms), true
}

// Now is the time on Redis' clock, which all workers share.
func (t *Turn) Now() time.Time { return t.redisAt.Add(time.Since(t.start)) }

// Overdue tells whether the batch's deadline has passed since Begin.
func (t *Turn) Overdue() bool { return !t.deadline.After(t.Now()) }

// Record writes the row's state: an outcome, or what is known while it is
// pending. A row that has its outcome is left as it is, without an error and
// with written false. At is set to now where it is zero and there is an outcome.
func (t *Turn) Record(ctx context.Context, n int64, r Row) (written bool, err error) {
	if r.At.IsZero() && r.Outcome != Pending {
		r.At = t.Now()
	}
	got, err := t.l.settle(ctx, t.batch, []Settlement{{N: n, Row: r}})
	return err == nil && got[0], err
}

// End gives the claims up. It is safe to call more than once.
func (t *Turn) End(ctx context.Context) (err error) {
	t.ended.Do(func() {
		t.cancel(nil)
		t.keeper.Wait()
		err = t.release(ctx, t.held)
	})
	return err
}

func (t *Turn) release(ctx context.Context, fields []string) error {
	if len(fields) == 0 {
		return nil
	}
	return wrap(releaseScript.Run(ctx, t.l.rdb, []string{claimsKey(t.call)}, t.owned(nil, fields)...).Err())
}

func (t *Turn) owned(life any, fields []string) []any {
	args := []any{t.owner}
	if life != nil {
		args = append(args, life)
	}
	for _, f := range fields {
		args = append(args, f)
	}
	return args
}

// keep renews the claims until ctx ends, and ends it once they may have run out.
func (t *Turn) keep(ctx context.Context) {
	life := t.l.claimLife()
	valid := t.claimed.Add(life)
	tick := time.NewTicker(life / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		sent := time.Now()
		// A third of the time is left to end what is under way.
		rctx, cancel := context.WithDeadline(ctx, valid.Add(-life/3))
		held, err := renewScript.Run(rctx, t.l.rdb, []string{claimsKey(t.call)},
			t.owned(life.Milliseconds(), t.held)...).Int()
		cancel()
		switch {
		case err == nil && held == len(t.held):
			valid = sent.Add(life)
		case err == nil, !time.Now().Add(life / 3).Before(valid):
			t.cancel(ErrClaimLost)
			return
		}
	}
}
