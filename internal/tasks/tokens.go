package tasks

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"rollcall/internal/graph"
)

// tokenTime bounds how long it is waited for a token that no row waits for.
const tokenTime = 10 * time.Second

// noTokens are the tenants for which this worker got no token when it last wanted one.
// The log has a line when one begins to be missing and one when it is there again.
type noTokens struct {
	any atomic.Bool
	mu  sync.Mutex
	of  map[string]bool
}

// set notes whether there is a token for a tenant, and tells whether that is new.
func (n *noTokens) set(tenant string, missing bool) bool {
	if !missing && !n.any.Load() {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of[tenant] == missing {
		return false
	}
	if missing {
		if n.of == nil {
			n.of = map[string]bool{}
		}
		n.of[tenant] = true
	} else {
		delete(n.of, tenant)
	}
	n.any.Store(len(n.of) > 0)
	return true
}

func (n *noTokens) tenants() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Keys(n.of))
}

// tokenTrouble notes what a request for a tenant says of its token: err is why it was
// not sent, nil if it was.
func (w *Worker) tokenTrouble(tenant string, err error) {
	switch {
	case err == nil:
		if w.noToken.set(tenant, false) {
			w.log.Info("there is a token for Graph again", "tenant", tenant)
		}
	case graph.KindOf(err) == graph.NoToken:
		if w.noToken.set(tenant, true) {
			w.log.Error("no token for Graph: rows wait until there is one", "tenant", tenant, "error", err)
		}
	}
}

// watchTokens asks for the tokens that were missing, every 30 s unless it is set
// otherwise: so it is known that they are there again, also if no row is left that
// wants them.
func (w *Worker) watchTokens(ctx context.Context) {
	for every(ctx, jitter(2*w.cfg.SweepEvery)) {
		for _, tenant := range w.noToken.tenants() {
			actx, cancel := context.WithTimeout(ctx, tokenTime)
			if _, err := w.cfg.Graph.Tokens.Token(actx, tenant, false); err == nil {
				w.tokenTrouble(tenant, nil)
			}
			cancel()
		}
	}
}
