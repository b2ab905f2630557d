package tasks

import (
	"context"
	_ "embed"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// A worker that lives prolongs the lease of each of its tasks every 5 s: that is
// asynq's heartbeat. asynq itself hands the tasks of a dead worker back only
// after 30 s without one, and looks once a minute.
const (
	beatsEvery = 2500 * time.Millisecond // how often leases are looked at
	beatsLost  = 12 * time.Second        // how long a lease stands still before its worker is held for dead
)

//go:embed scripts/putback.lua
var putbackLua string

var putbackScript = redis.NewScript(putbackLua)

// beat is a task's lease and since when it has stood still. That is reckoned on
// this process' own clock alone: workers' clocks may differ from one another and
// from Redis'.
type beat struct {
	lease float64
	since time.Time
}

// beats are the leases of a queue's running tasks, by the id of the task.
type beats map[string]beat

// note takes what is seen at a time, and returns the tasks whose leases have
// stood still too long.
func (b beats) note(now time.Time, seen []redis.Z) (lost []redis.Z) {
	running := make(map[string]bool, len(seen))
	for _, z := range seen {
		id, _ := z.Member.(string)
		running[id] = true
		if was, ok := b[id]; !ok || was.lease != z.Score {
			b[id] = beat{z.Score, now}
		} else if now.Sub(was.since) >= beatsLost {
			lost = append(lost, z)
		}
	}
	for id := range b {
		if !running[id] {
			delete(b, id)
		}
	}
	return lost
}

// recoverTasks hands back what dead workers had in hand. Every worker does it:
// a task is put back once, and by whoever saw its lease as it is. A worker that
// only seemed dead loses nothing either, as rows are claimed in the ledger.
func (w *Worker) recoverTasks(ctx context.Context) {
	var last time.Time
	queues := map[string]beats{}
	for {
		now := time.Now()
		if now.Sub(last) > 2*beatsEvery {
			// Redis was away, or this process stood still: so may all the others have.
			clear(queues)
		}
		n, err := w.recoverOnce(ctx, now, queues)
		if n > 0 {
			w.metrics.recovered.Add(float64(n))
			w.log.Info("tasks of a dead worker were put back into the queue", "tasks", n)
		}
		if last = now; err != nil {
			last = time.Time{}
			w.log.Debug("running tasks could not be looked at", "error", err)
		}
		if !every(ctx, jitter(beatsEvery)) {
			return
		}
	}
}

func (w *Worker) recoverOnce(ctx context.Context, now time.Time, queues map[string]beats) (n int, err error) {
	ctx, cancel := context.WithTimeout(ctx, beatsEvery)
	defer cancel()
	for queue := range asynqQueues() {
		seen, err := w.cfg.Redis.ZRangeWithScores(ctx, queueKey(queue, "lease"), 0, -1).Result()
		if err != nil {
			return n, err
		}
		if queues[queue] == nil {
			queues[queue] = beats{}
		}
		for _, z := range queues[queue].note(now, seen) {
			id, _ := z.Member.(string)
			back, err := w.putBack(ctx, queue, id, z.Score)
			if err != nil {
				return n, err
			}
			n += back
		}
	}
	return n, nil
}

// putBack puts a task back whose lease is still as it was seen. It tells how many
// were, 1 or 0.
func (w *Worker) putBack(ctx context.Context, queue, id string, lease float64) (int, error) {
	return putbackScript.Run(ctx, w.cfg.Redis,
		[]string{queueKey(queue, "lease"), queueKey(queue, "active"), queueKey(queue, "pending"), queueKey(queue, "t:"+id)},
		id, strconv.FormatFloat(lease, 'f', -1, 64)).Int()
}

// giveBack puts a task of this worker's back whose lease ran out while Redis was
// away: asynq leaves it to be found by others. If they have found it already, or
// if this fails, nothing is lost.
func (w *Worker) giveBack(queue, id string) {
	ctx, cancel := context.WithTimeout(w.hard, beatsEvery)
	defer cancel()
	lease, err := w.cfg.Redis.ZScore(ctx, queueKey(queue, "lease"), id).Result()
	if err == nil && lease < float64(time.Now().Unix()) {
		_, err = w.putBack(ctx, queue, id, lease)
	}
	if err != nil {
		w.log.Debug("a task whose lease ran out was not given back", "error", err)
	}
}

// queueKey is a key of asynq's, whose version is pinned for that.
func queueKey(queue, what string) string { return "asynq:{" + queue + "}:" + what }
