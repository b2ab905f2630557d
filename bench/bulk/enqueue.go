package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/bench/internal/peer"
	"rollcall/bench/internal/stand"
	"rollcall/bench/internal/work"
)

// enqueuer is something that enqueues rows. What it took is without starting and
// reading, but for rollcall's: that is the whole command, which reads the file
// twice.
type enqueuer struct {
	name string
	// most is how many of the rows it is given: some take minutes for all.
	most int
	run  func(ctx context.Context, st *stand.Stand, rows []work.Row, file string) (took time.Duration, err error)
}

var enqueuers = []enqueuer{
	{"rollcall", 1 << 30, func(ctx context.Context, st *stand.Stand, _ []work.Row, file string) (time.Duration, error) {
		p, err := st.RunFor(ctx, []string{"ROLLCALL_REDIS=" + st.RedisURL()}, st.Command("enqueue"), file)
		if err != nil {
			return 0, err
		}
		return p.Took(), nil
	}},
	{"asynq, one after another", 100_000, asynqWith(1)},
	{"asynq, 64 goroutines", 1 << 30, asynqWith(64)},
	{"BullMQ addBulk", 200_000, bullmq},
	{"River InsertMany", 1 << 30, river},
}

func asynqWith(senders int) func(context.Context, *stand.Stand, []work.Row, string) (time.Duration, error) {
	return func(ctx context.Context, st *stand.Stand, rows []work.Row, _ string) (time.Duration, error) {
		rdb := redis.NewClient(&redis.Options{Addr: st.Redis, PoolSize: senders})
		defer rdb.Close()
		began := time.Now()
		err := peer.EnqueueTasks(ctx, rdb, rows, senders)
		return time.Since(began), err
	}
}

// onStand does something with a Redis of its own.
func (b *bench) onStand(ctx context.Context, do func(*stand.Stand) error) error {
	st, err := stand.New(ctx, b.bin)
	if err != nil {
		return err
	}
	defer st.Close()
	return do(st)
}

// memory is what Redis uses, in bytes.
func memory(ctx context.Context, st *stand.Stand) (used int64, err error) {
	rdb := redis.NewClient(&redis.Options{Addr: st.Redis})
	defer rdb.Close()
	info, err := rdb.Info(ctx, "memory").Result()
	for line := range strings.Lines(info) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			return strconv.ParseInt(text, 10, 64)
		}
	}
	return 0, fmt.Errorf("Redis does not say what it uses: %w", err)
}

// enqueue measures all, side by side in each round.
func (b *bench) enqueue(ctx context.Context) error {
	for _, m := range []mix{deletes, invites} {
		file, err := b.file(m, b.rows)
		if err != nil {
			return err
		}
		rates, sizes := map[string][]float64{}, map[string][]float64{}
		rows := m.rows(b.rows)
		for range b.repeat {
			for _, e := range enqueuers {
				some := rows[:min(e.most, len(rows))]
				err := b.onStand(ctx, func(st *stand.Stand) error {
					before, err := memory(ctx, st)
					if err != nil {
						return err
					}
					took, err := e.run(ctx, st, some, file)
					if err != nil {
						return fmt.Errorf("%s: %w", e.name, err)
					}
					after, err := memory(ctx, st)
					rates[e.name] = append(rates[e.name], rate(len(some), took))
					sizes[e.name] = append(sizes[e.name], float64(after-before)/float64(len(some)))
					return err
				})
				if err != nil {
					fmt.Fprintln(os.Stderr, "not measured:", err)
				}
			}
		}
		var lines [][]string
		own := median(rates[enqueuers[0].name])
		for _, e := range enqueuers {
			all := rates[e.name]
			if len(all) == 0 {
				lines = append(lines, []string{e.name, "not measured"})
				continue
			}
			size := thousands(median(sizes[e.name]))
			if e.name == "River InsertMany" {
				size = "(PostgreSQL)"
			}
			lines = append(lines, []string{e.name, thousands(median(all)), spread(all), ratio(own, median(all)), size})
		}
		table(fmt.Sprintf("Enqueue %s rows, %s", thousands(float64(b.rows)), m), []string{"", "rows a second", "from, to", "rollcall is", "bytes a row in Redis"}, lines)
	}
	return nil
}
