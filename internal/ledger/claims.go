package ledger

import (
	"context"
	"errors"
	"time"
)

// ErrClaimLost is the cause for which the context of a turn ends when its claims
// could not be renewed in time: others may work on the participants now.
var ErrClaimLost = errors.New("ledger: the claim on the participants ran out")

// changeMemory is how long it is known when a participant was last changed:
// longer than anybody trusts what they have read of a call.
const changeMemory = time.Minute

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
	claimed   = 0
	outdated  = 1 // claimed, but a newer change exists
	busy      = 2
	busyNewer = 3 // busy, and a newer change exists
)

// claim takes the participants of all rows that nobody works on.
func (t *Turn) claim(ctx context.Context) (verdicts []int64, err error) {
	args := append([]any{t.owner, t.l.claimLife().Milliseconds(), seconds(t.batch.keyLife()), t.l.Linger.Milliseconds()}, t.rowArgs(t.refs)...)
	t.claimed = time.Now()
	got, err := claimScript.Run(ctx, t.l.rdb,
		[]string{newestKey(t.call), claimsKey(t.call), ringingKey(t.call), changedKey(t.call)}, args...).Int64Slice()
	if err != nil {
		return nil, wrap(err)
	}
	if len(got) != 4*len(t.refs) {
		return nil, errors.New("ledger: Redis answered a claim with a wrong number of values")
	}
	for i, r := range t.refs {
		v := got[4*i : 4*i+4]
		verdicts = append(verdicts, v[0])
		t.Rings[i] = Ring{Until: fromMillis(v[1]), Named: v[2] == 1}
		t.Changed[i] = fromMillis(v[3])
		if v[0] == claimed || v[0] == outdated {
			t.held = append(t.held, fieldsOf(r)...)
		}
	}
	return verdicts, nil
}

// rowArgs are a script's arguments for rows: sequence number, number of
// participant keys, the keys.
func (t *Turn) rowArgs(refs []RowRef) []any {
	var args []any
	for _, r := range refs {
		args = append(args, t.batch.Seq(r.N), len(r.Keys))
		for _, f := range fieldsOf(r) {
			args = append(args, f)
		}
	}
	return args
}

func fieldsOf(r RowRef) []string {
	fields := make([]string, len(r.Keys))
	for i, k := range r.Keys {
		fields[i] = participantField(k)
	}
	return fields
}

// End gives the claims up. It is safe to call more than once.
func (t *Turn) End(ctx context.Context) error { return t.end(ctx, t.held) }

// Leave ends the turn and keeps the claims, which run out: what was sent under
// them may still be done. It is safe to call more than once, and after End.
func (t *Turn) Leave(ctx context.Context) error { return t.end(ctx, nil) }

func (t *Turn) end(ctx context.Context, give []string) (err error) {
	t.ended.Do(func() {
		t.cancel(nil)
		t.keeper.Wait()
		if len(t.held) > 0 {
			err = t.release(ctx, give)
		}
	})
	return err
}

// release gives claims up, and notes whose participants may have been changed
// and whose are not rung any more.
func (t *Turn) release(ctx context.Context, fields []string) error {
	args := []any{t.owner, seconds(changeMemory)}
	for _, list := range [][]string{fields, t.dirty} {
		args = append(args, len(list))
		for _, f := range list {
			args = append(args, f)
		}
	}
	for _, q := range t.quiet {
		for _, f := range fieldsOf(q) {
			args = append(args, f, t.batch.Seq(q.N))
		}
	}
	return wrap(releaseScript.Run(ctx, t.l.rdb,
		[]string{claimsKey(t.call), ringingKey(t.call), changedKey(t.call)}, args...).Err())
}

// keep renews the claims until ctx ends, and ends it once they may have run out.
// When Redis does not answer it is asked again soon: it may be back just before
// it is too late.
func (t *Turn) keep(ctx context.Context) {
	life := t.l.claimLife()
	valid := t.claimed.Add(life)
	args := []any{t.owner, life.Milliseconds()}
	for _, f := range t.held {
		args = append(args, f)
	}
	timer := time.NewTimer(life / 3)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		sent := time.Now()
		// A third of the time is left to end what is under way.
		rctx, cancel := context.WithDeadline(ctx, valid.Add(-life/3))
		held, err := renewScript.Run(rctx, t.l.rdb, []string{claimsKey(t.call)}, args...).Int()
		cancel()
		switch {
		case err == nil && held == len(t.held):
			valid = sent.Add(life)
			timer.Reset(life / 3)
		case err == nil, !time.Now().Add(life / 3).Before(valid):
			t.cancel(ErrClaimLost)
			return
		default:
			timer.Reset(life / 60)
		}
	}
}
