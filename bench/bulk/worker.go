package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"rollcall/bench/internal/peer"
	"rollcall/bench/internal/stand"
)

// How many rows a worker carries out. Invites are looked at two seconds after they
// were sent: with few rows that would be all there is to measure.
var workRows = map[mix]int{deletes: 100_000, invites: 200_000}

// worked is what a worker took for all rows.
type worked struct {
	took, cpu time.Duration
}

// worker measures one process each, against a Graph that answers at once and where
// everybody answers at once.
func (b *bench) worker(ctx context.Context) error {
	for _, m := range []mix{deletes, invites} {
		subjects := []struct {
			name string
			run  func(context.Context, *stand.Stand, mix, string) (worked, error)
		}{
			{"rollcall", rollcallWith()},
			{"asynq and net/http, a request a row", b.plain},
		}
		if m == invites {
			subjects = append(subjects, subjects[1])
			subjects[1].name, subjects[1].run = "rollcall --confirm=false", rollcallWith("--confirm=false")
		}
		n := workRows[m]
		file, err := b.file(m, n)
		if err != nil {
			return err
		}
		rates, cpus := map[string][]float64{}, map[string][]float64{}
		for range b.repeat {
			for _, s := range subjects {
				err := b.onStand(ctx, func(st *stand.Stand) error {
					if err := st.StartSim(ctx, "--roster", file, "--latency", "0s", "--ring", "0s", "--answer", "1"); err != nil {
						return err
					}
					w, err := s.run(ctx, st, m, file)
					if err != nil {
						return fmt.Errorf("%s: %w", s.name, err)
					}
					rates[s.name] = append(rates[s.name], rate(n, w.took))
					cpus[s.name] = append(cpus[s.name], w.cpu.Seconds()*1e6/float64(n))
					return nil
				})
				if err != nil {
					return err
				}
			}
		}
		var lines [][]string
		base := median(rates[subjects[len(subjects)-1].name])
		for _, s := range subjects {
			lines = append(lines, []string{s.name, thousands(median(rates[s.name])), spread(rates[s.name]), ratio(median(rates[s.name]), base), thousands(median(cpus[s.name]))})
		}
		table(fmt.Sprintf("Carry out %s %s", thousands(float64(n)), m), []string{"", "rows a second", "from, to", "of asynq's", "CPU µs a row, without Redis"}, lines)
	}
	return nil
}

// token writes the token that workers show the simulator.
func token(st *stand.Stand) (env []string, err error) {
	path := filepath.Join(st.Dir, "token")
	return []string{"ROLLCALL_TOKEN_FILE=" + path, "ROLLCALL_REDIS=" + st.RedisURL()}, os.WriteFile(path, []byte("bench\n"), 0o600)
}

// status is what is read of 'batch status'.
type status struct {
	Rows       int            `json:"rows"`
	Pending    int            `json:"pending"`
	FinishedAt time.Time      `json:"finished_at"`
	Outcomes   map[string]int `json:"outcomes"`
}

func statusOf(ctx context.Context, st *stand.Stand) (s status, err error) {
	p, err := st.RunFor(ctx, []string{"ROLLCALL_REDIS=" + st.RedisURL()}, st.Command("batch"), "status", "--output", "json")
	if err != nil {
		return s, err
	}
	err = json.Unmarshal([]byte(p.Said()), &s)
	return s, err
}

func rollcallWith(flags ...string) func(context.Context, *stand.Stand, mix, string) (worked, error) {
	return func(ctx context.Context, st *stand.Stand, _ mix, file string) (worked, error) {
		env, err := token(st)
		if err != nil {
			return worked{}, err
		}
		if err := st.Run(ctx, env, st.Command("enqueue"), file); err != nil {
			return worked{}, err
		}
		began := time.Now()
		p, err := st.RunFor(ctx, env, st.Command("worker"), append([]string{"--graph-url", st.Sim.URL, "--http", "", "--log-level", "warn", "--drain"}, flags...)...)
		if err != nil {
			return worked{}, err
		}
		s, err := statusOf(ctx, st)
		if err != nil {
			return worked{}, err
		}
		if s.Pending+s.Outcomes["removed"]+s.Outcomes["joined"]+s.Outcomes["invited"] != s.Rows || s.Pending > 0 {
			return worked{}, fmt.Errorf("not all rows were done: %v", s.Outcomes)
		}
		return worked{s.FinishedAt.Sub(began), p.CPU()}, nil
	}
}

// plain is asynq with a task a row.
func (b *bench) plain(ctx context.Context, st *stand.Stand, m mix, _ string) (worked, error) {
	n := workRows[m]
	if err := peer.Prepare(ctx, peer.Plain, st.Redis, m.rows(n)); err != nil {
		return worked{}, err
	}
	env, err := peer.Config{Kind: peer.Plain, Redis: st.Redis, Graph: st.Sim.URL, Fleet: 1}.Env()
	if err != nil {
		return worked{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return worked{}, err
	}
	rdb := redis.NewClient(&redis.Options{Addr: st.Redis})
	defer rdb.Close()
	began := time.Now()
	p, err := st.Start(ctx, env, self)
	if err != nil {
		return worked{}, err
	}
	for {
		if err := p.Running(); err != nil {
			return worked{}, err
		}
		left, err := rdb.LLen(ctx, "asynq:{default}:pending").Result()
		if err != nil {
			return worked{}, err
		}
		active, err := rdb.LLen(ctx, "asynq:{default}:active").Result()
		if err != nil {
			return worked{}, err
		}
		if left+active == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	took := time.Since(began)
	p.Kill()
	return worked{took, p.CPU()}, nil
}

// limit is how soon 10,000 invites have been sent at 100 requests a second.
func (b *bench) limit(ctx context.Context) error {
	const rows, perSecond = 10_000, 100
	least := float64(rows) / 5 / perSecond
	file, err := b.file(invites, rows)
	if err != nil {
		return err
	}
	var lines [][]string
	for range b.repeat {
		err := b.onStand(ctx, func(st *stand.Stand) error {
			if err := st.StartSim(ctx, "--roster", file, "--latency", "20ms", "--ring", "0s", "--answer", "1"); err != nil {
				return err
			}
			if _, err := rollcallWith("--rate", strconv.Itoa(perSecond))(ctx, st, invites, file); err != nil {
				return err
			}
			log, err := st.Sim.Requests(ctx)
			if err != nil {
				return err
			}
			var first, lastPost, last time.Time
			reads := 0
			for _, r := range log {
				if first.IsZero() || r.Start.Before(first) {
					first = r.Start
				}
				if r.Start.After(last) {
					last = r.Start
				}
				if r.Method == http.MethodPost && r.Start.After(lastPost) {
					lastPost = r.Start
				}
				if r.Method == http.MethodGet {
					reads++
				}
			}
			sent, all := lastPost.Sub(first).Seconds(), last.Sub(first).Seconds()
			lines = append(lines, []string{fmt.Sprintf("%.1f s", sent), ratio(sent, least), fmt.Sprintf("%.1f s", all), strconv.Itoa(len(log) - reads), strconv.Itoa(reads)})
			return nil
		})
		if err != nil {
			return err
		}
	}
	table(fmt.Sprintf("10,000 invites at 100 requests a second; at least %.0f s", least), []string{"last one sent after", "of the least", "last look after", "invitations", "reads"}, lines)
	return nil
}
