package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Batch is the changes of one enqueue.
type Batch struct {
	ID       string
	Rows     int64
	Base     int64         // the sequence number of row n is Base + n
	Queue    string        // queue its tasks go to
	Expire   time.Duration // from creation (or retry) to the deadline of its rows
	Keep     time.Duration // how long it can be read after its deadline, or after it was last prolonged
	Layout   []byte        // how to read its sources; the ledger does not look inside
	Rejected int64         // rows of its input that were invalid and left out

	CreatedAt time.Time
	Deadline  time.Time
	fresh     bool // made by this Create: none of its rows has been put before

	// Totals are known once the whole batch has been enqueued.
	Totals Totals
	Sealed bool // every row's source is stored and its task was enqueued
}

// Totals are the figures of a batch that its enqueue ends with.
type Totals struct {
	Tasks, Invites, Deletes, Calls int64
}

// Seq is the sequence number of a row, the order of changes over all batches.
func (b Batch) Seq(row int64) int64 { return b.Base + row }

// keyLife is how long a key of the batch lives after it was last renewed.
func (b Batch) keyLife() time.Duration { return b.Keep + b.Expire }

// State is what a batch is doing.
type State string

// The states of a batch.
const (
	Running  State = "running"
	Finished State = "finished"
	Stopped  State = "cancelled"
)

// Status is a batch and how far it is.
type Status struct {
	Batch
	State      State
	Pending    int64
	Outcomes   map[Outcome]int64 // only those that occurred
	FinishedAt time.Time         // zero while rows are pending
}

// Failed is the number of rows that ended in a failed outcome.
func (s Status) Failed() int64 { return s.Count(GroupFailed) }

// Count is the number of rows that ended in an outcome of the group.
func (s Status) Count(g Group) int64 {
	n := int64(0)
	for o, c := range s.Outcomes {
		if o.Group() == g {
			n += c
		}
	}
	return n
}

// Create makes the batch b, or finds that it exists: then the stored one is
// returned, with created false. Only ID, Rows, Queue, Expire, Keep, Layout and
// Rejected of b are used.
func (l *Ledger) Create(ctx context.Context, b Batch) (stored Batch, created bool, err error) {
	if st, err := l.Status(ctx, b.ID); err == nil {
		return st.Batch, false, l.index(ctx, st)
	} else if !errors.Is(err, ErrNoBatch) {
		return Batch{}, false, err
	}
	if err := l.prune(ctx); err != nil {
		return Batch{}, false, err
	}
	// Numbers given out to a batch that then is not created are lost, which
	// does no harm: only their order counts.
	base, err := numberScript.Run(ctx, l.rdb, []string{keySeq}, b.Rows).Int64()
	if err != nil {
		return Batch{}, false, wrap(err)
	}
	n, err := createScript.Run(ctx, l.rdb, []string{metaKey(b.ID)},
		seconds(b.keyLife()), b.Expire.Milliseconds(),
		"rows", b.Rows, "base", base, "queue", b.Queue, "expire", b.Expire.Milliseconds(),
		"keep", b.Keep.Milliseconds(), "layout", b.Layout, "rejected", b.Rejected).Int()
	if err != nil {
		return Batch{}, false, wrap(err)
	}
	st, err := l.Status(ctx, b.ID)
	if err != nil {
		return Batch{}, false, err
	}
	st.fresh = n == 1
	return st.Batch, st.fresh, l.index(ctx, st)
}

// index enters the batch in the lists; a crash after creation is healed by the
// next Create of the same batch.
func (l *Ledger) index(ctx context.Context, st Status) error {
	if err := l.rdb.ZAdd(ctx, keyBatches, entry(st.Batch)).Err(); err != nil {
		return wrap(err)
	}
	if st.Pending == 0 {
		return nil
	}
	return l.list(ctx, st.Batch)
}

// list enters the batch in the list of open ones.
func (l *Ledger) list(ctx context.Context, b Batch) error {
	return wrap(l.rdb.ZAdd(ctx, keyOpen, entry(b)).Err())
}

func entry(b Batch) redis.Z { return redis.Z{Score: float64(b.CreatedAt.UnixMilli()), Member: b.ID} }

// Seal notes that all of the batch is enqueued.
func (l *Ledger) Seal(ctx context.Context, b Batch, t Totals) error {
	return l.mark(ctx, b, "sealed", 1,
		"tasks", t.Tasks, "invites", t.Invites, "deletes", t.Deletes, "calls", t.Calls)
}

// ErrFinished means that every row of the batch has its outcome.
var ErrFinished = errors.New("every row has its outcome: there is nothing to cancel")

// Cancel notes that no row of the batch shall be sent any more. Rows get their
// outcome when they are next begun. It returns ErrFinished if none is pending.
func (l *Ledger) Cancel(ctx context.Context, b Batch) error {
	n, err := cancelScript.Run(ctx, l.rdb, []string{metaKey(b.ID), countsKey(b.ID)}).Int()
	switch {
	case err != nil:
		return wrap(err)
	case n == 0:
		return fmt.Errorf("batch %q: %w", b.ID, ErrNoBatch)
	case n == 2:
		return fmt.Errorf("batch %s: %w", b.ID, ErrFinished)
	}
	return nil
}

// mark sets fields of a batch, and makes none of one that is gone.
func (l *Ledger) mark(ctx context.Context, b Batch, fields ...any) error {
	n, err := markScript.Run(ctx, l.rdb, []string{metaKey(b.ID)}, fields...).Int()
	if err == nil && n == 0 {
		return fmt.Errorf("batch %q: %w", b.ID, ErrNoBatch)
	}
	return wrap(err)
}

// Status reads a batch. It returns ErrNoBatch if there is none.
func (l *Ledger) Status(ctx context.Context, batch string) (Status, error) {
	all, err := l.statuses(ctx, []string{batch})
	if err != nil {
		return Status{}, err
	}
	if all[0].ID == "" {
		return Status{}, fmt.Errorf("batch %q: %w", batch, ErrNoBatch)
	}
	return all[0], nil
}

// List reads the newest batches, newest first, at most limit of them.
func (l *Ledger) List(ctx context.Context, limit int64) ([]Status, error) {
	var found []Status
	for from := int64(0); ; from += limit {
		ids, err := l.rdb.ZRevRange(ctx, keyBatches, from, from+limit-1).Result()
		if err != nil {
			return nil, wrap(err)
		}
		all, err := l.statuses(ctx, ids)
		if err != nil {
			return nil, err
		}
		for _, st := range all {
			// Those that have expired are left in the list: whoever looks may not write.
			if st.ID != "" && int64(len(found)) < limit {
				found = append(found, st)
			}
		}
		if int64(len(found)) == limit || int64(len(ids)) < limit {
			return found, nil
		}
	}
}

// Open reads the batches that have pending rows, newest first.
func (l *Ledger) Open(ctx context.Context) ([]Status, error) {
	ids, err := l.rdb.ZRevRange(ctx, keyOpen, 0, -1).Result()
	if err != nil {
		return nil, wrap(err)
	}
	all, err := l.existing(ctx, keyOpen, ids)
	if err != nil {
		return nil, err
	}
	open := all[:0]
	for _, st := range all {
		if st.Pending > 0 {
			open = append(open, st)
			continue
		}
		// Its last row's writer died before it could take it off the list.
		if err := l.unlist(ctx, st.ID); err != nil {
			return nil, err
		}
	}
	return open, nil
}

// unlist takes a finished batch off the list of open ones, after it has entered it
// in that of finished ones: wherever this is interrupted, the batch is in one of
// them. It looks once more afterwards, because the batch may be reopened at this
// moment.
func (l *Ledger) unlist(ctx context.Context, batch string) error {
	if err := l.finished(ctx, batch); err != nil {
		return err
	}
	if err := l.rdb.ZRem(ctx, keyOpen, batch).Err(); err != nil {
		return wrap(err)
	}
	all, err := l.statuses(ctx, []string{batch})
	if err != nil || all[0].Pending == 0 {
		return err
	}
	return l.index(ctx, all[0])
}

// prune takes batches off the list of all that have expired: it looks at a few of
// any age, as old ones may have been prolonged.
func (l *Ledger) prune(ctx context.Context) error {
	const some = 10
	ids, err := l.rdb.ZRandMember(ctx, keyBatches, some).Result()
	if err != nil {
		return wrap(err)
	}
	_, err = l.existing(ctx, keyBatches, ids)
	return err
}

// existing reads the batches of a list, and takes those off it that have expired.
func (l *Ledger) existing(ctx context.Context, list string, ids []string) ([]Status, error) {
	all, err := l.statuses(ctx, ids)
	if err != nil {
		return nil, err
	}
	found := all[:0]
	for i, st := range all {
		if st.ID != "" {
			found = append(found, st)
			continue
		}
		if err := l.rdb.ZRem(ctx, list, ids[i]).Err(); err != nil {
			return nil, wrap(err)
		}
	}
	return found, nil
}

// statuses reads batches in one round trip; those that are not there have no ID.
func (l *Ledger) statuses(ctx context.Context, ids []string) ([]Status, error) {
	metas := make([]*redis.MapStringStringCmd, len(ids))
	counts := make([]*redis.MapStringStringCmd, len(ids))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			metas[i] = p.HGetAll(ctx, metaKey(id))
			counts[i] = p.HGetAll(ctx, countsKey(id))
		}
		return nil
	})
	if err != nil {
		return nil, wrap(err)
	}
	out := make([]Status, len(ids))
	for i, id := range ids {
		if len(metas[i].Val()) == 0 || metas[i].Val()["rows"] == "" {
			continue
		}
		if out[i], err = readStatus(id, metas[i].Val(), counts[i].Val()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func readStatus(id string, meta, counts map[string]string) (Status, error) {
	var bad error
	num := func(m map[string]string, field string) int64 {
		if m[field] == "" {
			return 0
		}
		n, err := strconv.ParseInt(m[field], 10, 64)
		if err != nil {
			bad = fmt.Errorf("ledger: batch %s: field %s is not a number", id, field)
		}
		return n
	}
	at := func(field string) time.Time {
		if meta[field] == "" {
			return time.Time{}
		}
		return time.UnixMilli(num(meta, field)).UTC()
	}
	st := Status{
		Batch: Batch{
			ID: id, Rows: num(meta, "rows"), Base: num(meta, "base"), Queue: meta["queue"],
			Expire: time.Duration(num(meta, "expire")) * time.Millisecond,
			Keep:   time.Duration(num(meta, "keep")) * time.Millisecond,
			Layout: []byte(meta["layout"]), Rejected: num(meta, "rejected"),
			CreatedAt: at("created"), Deadline: at("deadline"), Sealed: meta["sealed"] != "",
			Totals: Totals{
				Tasks: num(meta, "tasks"), Invites: num(meta, "invites"),
				Deletes: num(meta, "deletes"), Calls: num(meta, "calls"),
			},
		},
		FinishedAt: at("finished"),
		Outcomes:   map[Outcome]int64{},
		State:      Running,
	}
	done := int64(0)
	for _, o := range Outcomes() {
		if n := num(counts, string(o.letter())); n != 0 {
			st.Outcomes[o] = n
			done += n
		}
	}
	st.Pending = st.Rows - done
	switch {
	case meta["cancelled"] != "":
		st.State = Stopped
	case st.Pending == 0:
		st.State = Finished
	}
	return st, bad
}

// ErrOld means that changes which are newer than a batch's may have been forgotten.
var ErrOld = errors.New("the batch was made so long ago that newer changes to its participants may have been forgotten, which these rows would undo: 'batch report --only failed' makes a file of what is left, to be looked at and enqueued")

// Reopen makes the rows pending again whose outcome is one of those given, and
// gives them a new deadline. Their sequence numbers stay, so it returns ErrOld for a
// batch that was prolonged. It returns how many rows they were.
func (l *Ledger) Reopen(ctx context.Context, b Batch, which []Outcome) (int64, error) {
	letters := make([]byte, 0, len(which))
	for _, o := range which {
		letters = append(letters, o.letter())
	}
	now, err := l.rdb.Time(ctx).Result()
	if err != nil {
		return 0, wrap(err)
	}
	if now.Sub(b.CreatedAt) > b.keyLife() {
		return 0, fmt.Errorf("batch %s: %w", b.ID, ErrOld)
	}
	// Listed first: from the first reopened row on, the batch must not be
	// overlooked, wherever this is interrupted.
	if err := l.list(ctx, b); err != nil {
		return 0, err
	}
	deadline := now.Add(b.Expire).UnixMilli()
	reopened := int64(0)
	hashes := (b.Rows + hashRows - 1) / hashRows
	for from := int64(0); from < hashes; from += hashesAhead {
		n, err := l.reopenSome(ctx, b, from, min(from+hashesAhead, hashes), deadline, letters)
		reopened += n
		if err != nil {
			return reopened, err
		}
	}
	st, err := l.Status(ctx, b.ID)
	if err != nil {
		return reopened, err
	}
	return reopened, l.index(ctx, st)
}

// Prolong gives a batch its whole life again, if a tenth of it is over: a file that is
// enqueued again by the clock, for weeks perhaps, must be known as done for as long.
// It returns ErrNoBatch if the batch is gone.
func (l *Ledger) Prolong(ctx context.Context, b Batch) error {
	left, err := l.rdb.PTTL(ctx, metaKey(b.ID)).Result()
	switch {
	case err != nil:
		return wrap(err)
	case left < 0:
		return fmt.Errorf("batch %q: %w", b.ID, ErrNoBatch)
	case left > b.keyLife()*9/10:
		return nil
	}
	keys := make([]string, 0, renewAhead)
	renew := func(key string) error {
		if keys = append(keys, key); len(keys) < renewAhead {
			return nil
		}
		err := l.expire(ctx, keys, b.keyLife())
		keys = keys[:0]
		return err
	}
	for bucket := range (b.Rows + BucketRows - 1) / BucketRows {
		if err := renew(sourceKey(b.ID, bucket)); err != nil {
			return err
		}
	}
	for hash := range (b.Rows + hashRows - 1) / hashRows {
		if err := renew(rowsKey(b.ID, hash)); err != nil {
			return err
		}
	}
	// The batch itself last: if this is interrupted, it is done anew.
	own := settleKeys(b.ID)
	slices.Reverse(own)
	return l.expire(ctx, append(keys, own...), b.keyLife())
}

// renewAhead is how many keys one round trip of Prolong deals with.
const renewAhead = 1000

func (l *Ledger) expire(ctx context.Context, keys []string, life time.Duration) error {
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range keys {
			p.Expire(ctx, key, life)
		}
		return nil
	})
	return wrap(err)
}

// hashesAhead is how many hashes one round trip of Reopen deals with.
const hashesAhead = 256

func (l *Ledger) reopenSome(ctx context.Context, b Batch, from, to, deadline int64, letters []byte) (reopened int64, err error) {
	pipe := l.rdb.Pipeline()
	for bucket := from * hashRows / BucketRows; bucket*BucketRows < to*hashRows; bucket++ {
		pipe.Expire(ctx, sourceKey(b.ID, bucket), b.keyLife())
	}
	calls := make([]scriptCall, 0, to-from)
	for hash := from; hash < to; hash++ {
		calls = append(calls, scriptCall{
			append(settleKeys(b.ID), rowsKey(b.ID, hash)),
			[]any{seconds(b.keyLife()), deadline, letters},
		})
	}
	cmds, err := runAll(ctx, l.rdb, pipe, reopenScript, calls)
	if err != nil {
		return 0, err
	}
	for _, cmd := range cmds {
		n, err := cmd.Int64()
		switch {
		case err != nil:
			return reopened, wrap(err)
		case n < 0:
			return reopened, ErrNoBatch
		}
		reopened += n
	}
	return reopened, nil
}
