package main

import (
	"context"
	"os"

	"rollcall/bench/internal/peer"
	"rollcall/bench/internal/stand"
	"rollcall/bench/internal/work"
)

// subject is something that is measured.
type subject struct {
	name   string
	limits bool // has a limiter that can be told a rate
	// prepare puts the rows where the processes find them; they are in the file,
	// too.
	prepare func(ctx context.Context, st *stand.Stand, rows []work.Row, file string) error
	// start starts one process of the fleet.
	start func(ctx context.Context, st *stand.Stand, sc *scenario) (*stand.Process, error)
}

// product is the name of the subject that this is all about.
const product = "rollcall"

var subjectsKnown = []subject{
	{name: product, limits: true, prepare: enqueue, start: startWorker},
	newPeer(peer.XTimeRate, true),
	newPeer(peer.RedisRate, true),
	newPeer(peer.SDKStyle, false),
}

// newPeer is a subject that is this program, started again.
func newPeer(kind string, limits bool) subject {
	return subject{
		name: kind, limits: limits,
		prepare: func(ctx context.Context, st *stand.Stand, rows []work.Row, _ string) error {
			return peer.Prepare(ctx, kind, st.Redis, rows)
		},
		start: func(ctx context.Context, st *stand.Stand, sc *scenario) (*stand.Process, error) {
			env, err := peer.Config{Kind: kind, Redis: st.Redis, Graph: st.Sim.URL, Fleet: fleet, Told: sc.told}.Env()
			if err != nil {
				return nil, err
			}
			self, err := os.Executable()
			if err != nil {
				return nil, err
			}
			return st.Start(ctx, env, self)
		},
	}
}

// fits tells whether a subject can be measured in a scenario.
func (s subject) fits(sc scenario) bool { return s.limits || sc.ceiling == 0 }
