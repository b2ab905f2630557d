// Package notify tells a webhook that batches have finished: one signed JSON
// summary for each finish of each batch, tried until it is received.
//
// Any number of processes may do so on one Redis. The ledger keeps the list of
// finished batches and who has which notice in hand, so that each is sent once as
// long as nothing fails, and at least once otherwise.
//
// It must not know Graph, the queue or rows: a notice has counts only. The URL of
// the webhook may be a secret: nothing but its host leaves the package, and Redis
// gets a digest.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"rollcall/internal/ledger"
)

const (
	pollEvery  = 1500 * time.Millisecond // of the list of finished batches
	renewEvery = time.Hour               // of the note that the receiver is in use
	firstWait  = time.Second             // after the first failure; it doubles
	mostWait   = 5 * time.Minute         // but for what the receiver asks for
	// hold is for how long nobody else sends a notice that one has taken up: more
	// than it takes to send it, and to note that in a Redis that comes back.
	hold = Timeout + 10*time.Second
	// soon is when it is looked again at what others are doing.
	soon = 200 * time.Millisecond
	// atOnce is how many notices a process sends side by side.
	atOnce = 4
	// clockSlack is how far Redis' clock is allowed to go back, after a failover.
	clockSlack = time.Minute
)

// Result is what became of a try to send a notice.
type Result string

// The results.
const (
	Sent    Result = "sent"
	Failed  Result = "failed"   // it is tried again
	GivenUp Result = "given_up" // it was not received for a day
)

// Notifier sends the notices of a ledger's batches to a target. Its methods are for
// one goroutine at a time.
type Notifier struct {
	ledger   *ledger.Ledger
	target   *Target
	receiver string
	log      *slog.Logger
	// Tell, if set before anything is sent, is called with each result. It must be
	// safe for concurrent use.
	Tell  func(Result)
	since time.Time // batches that finished before are not told

	handled map[string]time.Time // batches of the list that need no more, and when they were entered
	from    time.Time            // no batch before it needs anything
}

// Start returns a notifier of batches that finish from now on, or from when a
// target with this URL was first given to Start on this Redis.
func Start(ctx context.Context, l *ledger.Ledger, t *Target, log *slog.Logger) (*Notifier, error) {
	n := &Notifier{
		ledger: l, target: t, receiver: t.digest(), log: log, handled: map[string]time.Time{}, Tell: func(Result) {},
	}
	var err error
	if n.since, err = l.Receiver(ctx, n.receiver, time.Time{}); err != nil {
		return nil, err
	}
	n.from = n.since.Add(-clockSlack)
	return n, nil
}

// Host is the host of the target.
func (n *Notifier) Host() string { return n.target.Host() }

// Run sends notices until ctx ends. What is being sent then is given a moment.
func (n *Notifier) Run(ctx context.Context) {
	renewed := time.Now()
	for {
		// An error is Redis being away, of which the worker speaks.
		_, _, _ = n.pass(ctx)
		if time.Since(renewed) > renewEvery {
			if _, err := n.ledger.Receiver(ctx, n.receiver, n.since); err == nil {
				renewed = time.Now()
			}
		}
		if !sleep(ctx, pollEvery) {
			return
		}
	}
}

// Flush sends the notices of all batches that have finished. It returns an error
// if there are some left when ctx ends, or that nobody may send before.
func (n *Notifier) Flush(ctx context.Context) error {
	return n.until(ctx, func(ctx context.Context) (int, time.Duration, error) { return n.pass(ctx) })
}

// Deliver is Flush for one batch, in the list or not.
func (n *Notifier) Deliver(ctx context.Context, batch string) error {
	return n.until(ctx, func(ctx context.Context) (int, time.Duration, error) {
		over, wait, err := n.tell(ctx, batch)
		if over {
			return 0, 0, nil
		}
		return 1, wait, err
	})
}

// until tries until no notice is left. try returns how many there are, and when it
// is worth trying again.
func (n *Notifier) until(ctx context.Context, try func(ctx context.Context) (int, time.Duration, error)) error {
	for {
		left, wait, err := try(ctx)
		if err == nil && left == 0 {
			return nil
		}
		deadline, bounded := ctx.Deadline()
		if err == nil && bounded && time.Until(deadline) < wait || !sleep(ctx, min(wait, pollEvery)) {
			if err == nil {
				err = fmt.Errorf("not received: %d", left)
			}
			return err
		}
	}
}

// pass sends the notices that are to be sent now. It returns how many are left, and
// in how long the first of them may be sent.
func (n *Notifier) pass(ctx context.Context) (left int, wait time.Duration, err error) {
	all, err := n.ledger.Finished(ctx, n.from)
	if err != nil {
		return 0, pollEvery, err
	}
	var open []ledger.Listed
	for _, b := range all {
		if !n.handled[b.ID].Equal(b.At) {
			open = append(open, b)
		}
	}
	wait = time.Hour
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, b := range open {
		g.Go(func() error {
			over, again, err := n.tell(ctx, b.ID)
			mu.Lock()
			defer mu.Unlock()
			if over {
				n.handled[b.ID] = b.At
				return nil
			}
			left++
			wait = min(wait, again)
			return err
		})
	}
	err = g.Wait()
	n.forget(all)
	return left, wait, err
}

// forget drops what the next pass need not know: the batches before the first that
// still needs something, which it will not read again.
func (n *Notifier) forget(all []ledger.Listed) {
	if len(all) == 0 {
		return
	}
	from := all[len(all)-1].At.Add(-clockSlack)
	for _, b := range all {
		if !n.handled[b.ID].Equal(b.At) {
			from = minTime(from, b.At)
			break // they are in order
		}
	}
	if from.After(n.from) {
		n.from = from
	}
	keep := make(map[string]time.Time, len(all))
	for _, b := range all {
		if at := n.handled[b.ID]; at.Equal(b.At) && !at.Before(n.from) {
			keep[b.ID] = at
		}
	}
	n.handled = keep
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// tell sends a batch's notice, if that is to be done now. It tells whether nothing
// is left to do, and if not, in how long there is.
func (n *Notifier) tell(ctx context.Context, batch string) (over bool, wait time.Duration, err error) {
	st, err := n.ledger.Status(ctx, batch)
	switch {
	case errors.Is(err, ledger.ErrNoBatch):
		return true, 0, nil
	case err != nil:
		return false, pollEvery, err
	case st.Pending > 0: // reopened: it will finish again
		return true, 0, nil
	case st.FinishedAt.IsZero(): // read while it was being written
		return false, soon, nil
	case st.FinishedAt.Before(n.since):
		return true, 0, nil
	}
	notice, err := n.ledger.TakeNotice(ctx, st, n.receiver, hold)
	if err != nil {
		return false, pollEvery, err
	}
	switch notice.State {
	case ledger.NoticeMine:
		return n.send(ctx, st, notice)
	case ledger.NoticeBusy: // it can be over at any moment
		return false, soon, nil
	case ledger.NoticeWait:
		return false, notice.Wait, nil
	case ledger.NoticeLate:
		n.Tell(GivenUp)
		n.log.Warn("notice of a finished batch given up: it was not received for a day", "batch", st.ID, "host", n.target.Host(), "failures", notice.Failures)
	}
	return true, 0, nil
}

// send sends a notice that is this one's to send, and notes how that ended.
func (n *Notifier) send(ctx context.Context, st ledger.Status, notice ledger.Notice) (over bool, wait time.Duration, err error) {
	id := deliveryID(st, n.receiver)
	reasons, err := n.ledger.Reasons(ctx, st.Batch)
	if err != nil {
		return false, pollEvery, err
	}
	text, err := body(st, reasons, id, time.Now())
	if err != nil {
		return false, mostWait, err
	}
	failed := n.target.post(ctx, id, text)
	if failed == nil {
		n.Tell(Sent)
		n.log.Info("notice of a finished batch sent", "batch", st.ID, "host", n.target.Host())
		return true, 0, n.note(ctx, func(ctx context.Context) error { return n.ledger.NoticeSent(ctx, notice) })
	}
	if failed.cut {
		return false, hold, nil // others have it when the hold is over
	}
	n.Tell(Failed)
	wait = max(backoff(notice.Failures), failed.retryAfter)
	level := slog.LevelDebug
	if notice.Failures == 0 {
		level = slog.LevelWarn
	}
	n.log.Log(ctx, level, "notice of a finished batch not received",
		"batch", st.ID, "host", n.target.Host(), "why", failed.why, "again_in_seconds", wait.Seconds())
	return false, wait, n.note(ctx, func(ctx context.Context) error { return n.ledger.NoticeFailed(ctx, notice, wait) })
}

// note writes how a try ended. A Redis that is away for a moment must not have a
// notice sent twice, so it is written again until others may have it.
func (n *Notifier) note(ctx context.Context, write func(ctx context.Context) error) error {
	ctx = context.WithoutCancel(ctx)
	ctx, cancel := context.WithTimeout(ctx, hold-Timeout)
	defer cancel()
	for {
		err := write(ctx)
		if err == nil || !sleep(ctx, time.Second/4) {
			return err
		}
	}
}

// backoff is how long a notice waits that has failed some times before.
func backoff(failures int64) time.Duration {
	wait := mostWait
	if failures < 20 {
		wait = min(firstWait<<failures, mostWait)
	}
	return wait - wait/10 + rand.N(wait/5+1)
}

// sleep waits for d, and tells whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
