package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"rollcall/bench/internal/stand"
)

// views are the commands that look at a large batch.
func (b *bench) views(ctx context.Context) error {
	file, err := b.file(mixed, b.rows)
	if err != nil {
		return err
	}
	return b.onStand(ctx, func(st *stand.Stand) error {
		env := []string{"ROLLCALL_REDIS=" + st.RedisURL()}
		if err := st.Run(ctx, env, st.Command("enqueue"), file); err != nil {
			return err
		}
		var lines [][]string
		for _, args := range [][]string{{"status"}, {"report"}, {"report", "--format", "json"}, {"report", "--only", "failed"}} {
			var took, peak []float64
			for range 2*b.repeat + 1 {
				p, err := st.RunFor(ctx, env, st.Command("batch"), args...)
				if err != nil {
					return err
				}
				took, peak = append(took, p.Took().Seconds()*1000), append(peak, float64(p.Peak())/(1<<20))
			}
			name := "batch"
			for _, a := range args {
				name += " " + a
			}
			lines = append(lines, []string{name, thousands(median(took)) + " ms", thousands(median(peak)) + " MB"})
		}
		table(fmt.Sprintf("Look at a batch of %s rows", thousands(float64(b.rows))), []string{"", "took", "peak"}, lines)
		return nil
	})
}

// memory is what rows take in Redis, pending and finished.
func (b *bench) memory(ctx context.Context) error {
	var lines [][]string
	const n = 100_000
	for _, m := range []mix{deletes, invites} {
		file, err := b.file(m, n)
		if err != nil {
			return err
		}
		err = b.onStand(ctx, func(st *stand.Stand) error {
			if err := st.StartSim(ctx, "--roster", file, "--latency", "0s", "--ring", "0s", "--answer", "1"); err != nil {
				return err
			}
			env, err := token(st)
			if err != nil {
				return err
			}
			before, err := memory(ctx, st)
			if err != nil {
				return err
			}
			if err := st.Run(ctx, env, st.Command("enqueue"), file); err != nil {
				return err
			}
			pending, err := memory(ctx, st)
			if err != nil {
				return err
			}
			if err := st.Run(ctx, env, st.Command("worker"), "--graph-url", st.Sim.URL, "--http", "", "--log-level", "warn", "--drain"); err != nil {
				return err
			}
			after, err := memory(ctx, st)
			if err != nil {
				return err
			}
			if err := sleep(ctx, 90*time.Second); err != nil { // claims and notes of what was changed
				return err
			}
			later, err := memory(ctx, st)
			a := func(x int64) string { return thousands(float64(x-before) / n) }
			lines = append(lines, []string{string(m), a(pending), a(after), a(later)})
			return err
		})
		if err != nil {
			return err
		}
	}
	table("Bytes a row in Redis, everything included", []string{"100,000 rows", "pending", "when finished", "90 s later"}, lines)
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// first is how long after the end of an enqueue an idle worker sends its first
// request.
func (b *bench) first(ctx context.Context) error {
	const times = 100
	return b.onStand(ctx, func(st *stand.Stand) error {
		if err := st.StartSim(ctx, "--auto-calls", "--latency", "0s"); err != nil {
			return err
		}
		env, err := token(st)
		if err != nil {
			return err
		}
		if _, err := st.Start(ctx, env, st.Command("worker"), "--graph-url", st.Sim.URL, "--http", "", "--log-level", "warn"); err != nil {
			return err
		}
		if err := sleep(ctx, time.Second); err != nil {
			return err
		}
		var ended []time.Time
		for i := range times {
			file := filepath.Join(st.Dir, "one.csv")
			text := "action,call_id,participant_id\ndelete,call-" + strconv.Itoa(i) + ",p\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				return err
			}
			if err := st.Run(ctx, env, st.Command("enqueue"), file); err != nil {
				return err
			}
			ended = append(ended, time.Now())
			if err := sleep(ctx, 300*time.Millisecond+time.Duration(i)*time.Millisecond); err != nil {
				return err
			}
		}
		log, err := st.Sim.Requests(ctx)
		if err != nil {
			return err
		}
		var ms []float64
		for _, r := range log {
			n, err := strconv.Atoi(r.Call[len("call-"):])
			if err != nil {
				return err
			}
			ms = append(ms, float64(r.Start.Sub(ended[n]).Microseconds())/1000)
		}
		if len(ms) != times {
			return fmt.Errorf("%d requests for %d rows", len(ms), times)
		}
		table("From the end of an enqueue to the first request of an idle worker, 100 times", []string{"median", "from, to"}, [][]string{{thousands(median(ms)) + " ms", spread(ms) + " ms"}})
		return nil
	})
}
