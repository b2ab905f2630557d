package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// NoticeLife is how long after a batch finished notices of it are sent at most.
const NoticeLife = 24 * time.Hour

// listedFinished is how long a batch stays in the list of finished ones: longer
// than its notices live, so that whoever gives one up can say so.
const listedFinished = NoticeLife + time.Hour

// receiverLife is how long it is remembered since when a receiver gets notices,
// after somebody last had some for it.
const receiverLife = 90 * 24 * time.Hour

// Listed is a batch in the list of finished ones.
type Listed struct {
	ID string
	At time.Time // when it was entered, which is when it finished or shortly after
}

// finished enters a batch in the list of finished ones. One that finishes again is
// moved to its end.
func (l *Ledger) finished(ctx context.Context, batch string) error {
	return wrap(finishedScript.Run(ctx, l.rdb, []string{keyFinished}, batch, listedFinished.Milliseconds()).Err())
}

// Finished reads the list of batches that have finished since a time, oldest
// first, at most 25 h back. A batch in it may have been reopened, or be gone.
func (l *Ledger) Finished(ctx context.Context, since time.Time) ([]Listed, error) {
	all, err := l.rdb.ZRangeByScoreWithScores(ctx, keyFinished, &redis.ZRangeBy{
		Min: strconv.FormatInt(since.UnixMilli(), 10), Max: "+inf",
	}).Result()
	if err != nil {
		return nil, wrap(err)
	}
	out := make([]Listed, 0, len(all))
	for _, z := range all {
		id, _ := z.Member.(string)
		out = append(out, Listed{ID: id, At: time.UnixMilli(int64(z.Score)).UTC()})
	}
	return out, nil
}

// Receiver notes that somebody sends notices to a receiver, for 90 days, and
// returns since when: only batches that finish from then on are told to it. since
// is that time where the caller knows it, in case Redis has lost it; zero: the
// first to ask sets it to now.
func (l *Ledger) Receiver(ctx context.Context, receiver string, since time.Time) (time.Time, error) {
	ms := int64(0)
	if !since.IsZero() {
		ms = since.UnixMilli()
	}
	got, err := receiverScript.Run(ctx, l.rdb, []string{receiverKey(receiver)}, seconds(receiverLife), ms).Int64()
	if err != nil {
		return time.Time{}, wrap(err)
	}
	return time.UnixMilli(got).UTC(), nil
}

// NoticeState says what is to be done about a notice.
type NoticeState string

// The states of a notice.
const (
	NoticeMine NoticeState = "mine" // the caller shall send it, and nobody else meanwhile
	NoticeBusy NoticeState = "busy" // somebody else is sending it
	NoticeWait NoticeState = "wait" // it failed, and is not to be sent for a while
	NoticeOver NoticeState = "over" // it was sent, or given up
	NoticeLate NoticeState = "late" // it is given up now: who is told so is the only one
)

// Notice is the word to one receiver that a batch has finished. Each time that a
// batch finishes is another one.
type Notice struct {
	batch    Batch
	key      string
	token    string
	State    NoticeState
	Wait     time.Duration // until it may be taken up, if State is NoticeBusy or NoticeWait
	Failures int64         // how often sending it has failed
}

// life is how long it is known that the notice was sent: as long as the batch is, and
// as it is in the list.
func (n Notice) life() time.Duration { return max(n.batch.keyLife(), listedFinished) }

// TakeNotice takes up the notice of a finished batch to a receiver. If it is the
// caller's, nobody else gets it for the time hold, and NoticeSent or NoticeFailed
// should follow in that time.
func (l *Ledger) TakeNotice(ctx context.Context, st Status, receiver string, hold time.Duration) (Notice, error) {
	n := Notice{batch: st.Batch, key: noticeKey(st.ID, receiver, st.FinishedAt), token: rand.Text()}
	if st.Pending > 0 || st.FinishedAt.IsZero() {
		return n, fmt.Errorf("ledger: batch %s has not finished", st.ID)
	}
	got, err := noticeScript.Run(ctx, l.rdb, []string{n.key}, n.token, hold.Milliseconds(), seconds(n.life()),
		st.FinishedAt.UnixMilli(), NoticeLife.Milliseconds()).Slice()
	if err != nil {
		return n, wrap(err)
	}
	if len(got) != 3 {
		return n, errors.New("ledger: Redis answered about a notice with a wrong number of values")
	}
	what, _ := got[0].(string)
	ms, _ := got[1].(int64)
	n.State, n.Wait = NoticeState(what), time.Duration(ms)*time.Millisecond
	n.Failures, _ = got[2].(int64)
	return n, nil
}

// NoticeSent notes that the receiver has it: nobody sends it again.
func (l *Ledger) NoticeSent(ctx context.Context, n Notice) error { return l.noticed(ctx, n, 0) }

// NoticeFailed notes that it was not received, and for how long nobody shall try
// again, at least a millisecond.
func (l *Ledger) NoticeFailed(ctx context.Context, n Notice, again time.Duration) error {
	return l.noticed(ctx, n, max(again, time.Millisecond))
}

func (l *Ledger) noticed(ctx context.Context, n Notice, again time.Duration) error {
	return wrap(noticedScript.Run(ctx, l.rdb, []string{n.key}, n.token, seconds(n.life()), again.Milliseconds()).Err())
}
