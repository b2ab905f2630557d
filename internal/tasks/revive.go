package tasks

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/ledger"
)

//go:embed scripts/mend.lua
var mendLua string

var mendScript = redis.NewScript(mendLua)

// reviver puts tasks back that the queue has lost.
type reviver struct {
	q     *Queue
	batch ledger.Batch
	// waiting are the batch's tasks that wait in its queue, as it was a moment ago:
	// to look for each in a long list would take Redis a long time.
	waiting map[string]bool
	back    atomic.Int64 // tasks that were put back
}

// listPage is how many ids of a list are read at once.
const listPage = 10_000

func (q *Queue) reviver(ctx context.Context, b ledger.Batch) (*reviver, error) {
	r := &reviver{q: q, batch: b, waiting: map[string]bool{}}
	for from := int64(0); ; from += listPage {
		ids, err := q.rdb.LRange(ctx, queueKey(queueName(b.Queue), "pending"), from, from+listPage-1).Result()
		if err != nil {
			return nil, fmt.Errorf("look for tasks: %w", err)
		}
		for _, id := range ids {
			if strings.HasPrefix(id, b.ID+".") {
				r.waiting[id] = true
			}
		}
		if len(ids) < listPage {
			return r, nil
		}
	}
}

// revive enqueues a pack's task again if it is gone, and runs it if someone has
// archived it.
func (r *reviver) revive(ctx context.Context, k *pack) error {
	id := taskID(r.batch.ID, k.n)
	if r.waiting[id] {
		return nil
	}
	if there, err := r.mended(ctx, lookQueue, lookID(id)); there || err != nil {
		return err
	}
	existing, err := r.send(ctx, k)
	if err != nil || !existing {
		return err
	}
	if there, err := r.mended(ctx, queueName(r.batch.Queue), id); there || err != nil {
		return err
	}
	_, err = r.send(ctx, k)
	return err
}

func (r *reviver) send(ctx context.Context, k *pack) (existing bool, err error) {
	existing, err = r.q.send(ctx, r.batch, k)
	if err == nil && !existing {
		r.back.Add(1)
	}
	return existing, err
}

// mended tells whether a task will be run, now also if someone has archived it.
// Otherwise nothing of it is left.
func (r *reviver) mended(ctx context.Context, queue, id string) (there bool, err error) {
	keys := []string{queueKey(queue, "t:"+id)}
	for _, what := range []string{"pending", "active", "lease", "scheduled", "retry", "archived"} {
		keys = append(keys, queueKey(queue, what))
	}
	switch found, err := mendScript.Run(ctx, r.q.rdb, keys, id).Int(); {
	case err != nil:
		return false, fmt.Errorf("look for a task: %w", err)
	case found < 2:
		return found == 1, nil
	}
	if err := r.q.inspector.RunTask(queue, id); err != nil {
		if errors.Is(err, asynq.ErrTaskNotFound) {
			return true, nil
		}
		return true, fmt.Errorf("run an archived task: %w", err)
	}
	r.back.Add(1)
	return true, nil
}
