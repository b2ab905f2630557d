package tasks

import (
	"sync"
	"time"

	"rollcall/internal/graph"
)

// tokenMissed is for how long a token counts as missing after a row wanted it: rows
// that wait for one come back every holdWait, and none may be left that does.
const tokenMissed = 6 * holdWait

// noTokens are the tenants for which this worker got no token, and when last. The log
// has a line when one begins to be missing and one when it is there again.
type noTokens struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// missed notes that there was none, and tells whether that is new.
func (n *noTokens) missed(tenant string, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forget(now)
	_, known := n.last[tenant]
	if n.last == nil {
		n.last = map[string]time.Time{}
	}
	n.last[tenant] = now
	return !known
}

// got notes that there was one, and tells whether that is new.
func (n *noTokens) got(tenant string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, known := n.last[tenant]
	delete(n.last, tenant)
	return known
}

// any tells whether one is missing.
func (n *noTokens) any(now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.forget(now)
	return len(n.last) > 0
}

func (n *noTokens) forget(now time.Time) {
	for tenant, at := range n.last {
		if now.Sub(at) > tokenMissed {
			delete(n.last, tenant)
		}
	}
}

// tokenTrouble notes what a request for a tenant says of its token: err is why it was
// not sent, nil if it was.
func (w *Worker) tokenTrouble(tenant string, err error) {
	switch {
	case err == nil:
		if w.noToken.got(tenant) {
			w.log.Info("there is a token for Graph again", "tenant", tenant)
		}
	case graph.KindOf(err) == graph.NoToken:
		if w.noToken.missed(tenant, time.Now()) {
			w.log.Error("no token for Graph: rows wait until there is one", "tenant", tenant, "error", err)
		}
	}
}
