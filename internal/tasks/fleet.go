package tasks

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/ratelimit"
)

const (
	// fleetEvery is how often a worker tells of itself, and fleetLife for how long
	// it is held for alive after that.
	fleetEvery = 2 * time.Second
	fleetLife  = 10 * time.Second

	keyWorkers = "rollcall:workers" // sorted set: worker by when it last told of itself, in ms
)

func workerKey(id string) string { return "rollcall:worker:" + id }

// Member is what a worker tells of itself.
type Member struct {
	Host        string    `json:"host"`
	PID         int       `json:"pid"`
	Version     string    `json:"version,omitempty"`
	Since       time.Time `json:"since"` // on its own clock
	Concurrency int       `json:"concurrency"`
	Busy        int       `json:"busy"` // tasks and requests beside them under way
	Rows        int64     `json:"rows"` // that it gave an outcome
	Requests    int64     `json:"requests"`
	Ending      bool      `json:"ending,omitempty"` // it takes no more tasks
}

// Fleet is all workers of one Redis, and what they are allowed.
type Fleet struct {
	Workers []Member
	Scopes  []ratelimit.State
}

// Active are the scopes that were worked in a moment ago.
func (f Fleet) Active() []ratelimit.State {
	var some []ratelimit.State
	for _, s := range f.Scopes {
		if s.Age < fleetLife || s.Pause > 0 {
			some = append(some, s)
		}
	}
	return some
}

// Fleet reads who works and what the scopes allow.
func (q *Queue) Fleet(ctx context.Context) (Fleet, error) {
	var f Fleet
	var err error
	if f.Scopes, err = ratelimit.States(ctx, q.rdb); err != nil {
		return f, err
	}
	ids, err := q.rdb.ZRevRange(ctx, keyWorkers, 0, mostMembers-1).Result()
	if err != nil {
		return f, fmt.Errorf("read the fleet: %w", err)
	}
	got := make([]*redis.StringCmd, len(ids))
	_, err = q.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			got[i] = p.Get(ctx, workerKey(id))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return f, fmt.Errorf("read the fleet: %w", err)
	}
	for _, g := range got {
		var m Member
		if text, err := g.Bytes(); err == nil && json.Unmarshal(text, &m) == nil {
			f.Workers = append(f.Workers, m)
		}
	}
	return f, nil
}

// History reads what a scope's fleet did in the last hour.
func (q *Queue) History(ctx context.Context, scope string) ([]ratelimit.Sample, error) {
	return ratelimit.History(ctx, q.rdb, scope)
}

// mostMembers is how many workers are told of.
const mostMembers = 1000

// tellFleet lets others know of this worker until it has ended. From the end of ctx
// on it takes no more tasks.
func (w *Worker) tellFleet(ctx context.Context, ended <-chan struct{}) {
	me := Member{PID: os.Getpid(), Version: w.cfg.Version, Since: time.Now().UTC(), Concurrency: w.cfg.Concurrency}
	me.Host, _ = os.Hostname()
	id := rand.Text()
	tick := time.NewTicker(fleetEvery)
	defer tick.Stop()
	quit, reach := ctx.Done(), context.WithoutCancel(ctx)
	for {
		if err := w.tellOnce(reach, id, me); err != nil {
			w.log.Debug("the fleet was not told of this worker", "error", err)
		}
		select {
		case <-tick.C:
		case <-quit:
			me.Ending, quit = true, nil
		case <-ended:
			w.leaveFleet(reach, id)
			return
		}
	}
}

// leaveFleet tells what was done last, and takes this worker off. If that fails, it
// is gone soon.
func (w *Worker) leaveFleet(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = w.limiter.Note(ctx)
	_ = w.cfg.Redis.Del(ctx, workerKey(id)).Err()
}

func (w *Worker) tellOnce(ctx context.Context, id string, m Member) error {
	ctx, cancel := context.WithTimeout(ctx, fleetEvery)
	defer cancel()
	m.Busy = int(min(w.hands.busy.Load(), w.hands.most))
	m.Rows, m.Requests = w.metrics.rows.Load(), w.metrics.requests.Load()
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	now, err := w.cfg.Redis.Time(ctx).Result()
	if err != nil {
		return err
	}
	_, err = w.cfg.Redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, workerKey(id), text, fleetLife)
		p.ZAdd(ctx, keyWorkers, redis.Z{Score: float64(now.UnixMilli()), Member: id})
		p.ZRemRangeByScore(ctx, keyWorkers, "-inf", strconv.FormatInt(now.Add(-time.Hour).UnixMilli(), 10))
		p.PExpire(ctx, keyWorkers, time.Hour)
		return nil
	})
	return errors.Join(err, w.limiter.Note(ctx))
}
