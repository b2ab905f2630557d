package tasks

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"rollcall/internal/graph/graphsim"
	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

// tenantTokens gives tokens for all tenants but one, while that is so.
type tenantTokens struct {
	without string
	missing atomic.Bool
}

func (s *tenantTokens) Token(_ context.Context, tenant string, _ bool) (string, error) {
	if tenant == s.without && s.missing.Load() {
		return "", errors.New("the secret has run out")
	}
	return "t", nil
}

// TestTokensOfTenants: that one tenant has no token is told all the time, also while
// requests for another are sent; and no longer when there is one again.
func TestTokensOfTenants(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		const good, bad = "aaaaaaaa-0000-0000-0000-000000000001", "bbbbbbbb-0000-0000-0000-000000000002"
		w := newWorld(t, rdb, graphsim.Config{})
		busy, waits := w.put(w.request(tenantDeletes(good, 200), true)), w.put(w.request(tenantDeletes(bad, 5), true))
		tokens, reg := &tenantTokens{without: bad}, prometheus.NewRegistry()
		tokens.missing.Store(true)
		w.work(func(c *WorkerConfig) {
			c.Metrics, c.Graph.Tokens, c.Rate = reg, tokens, 50
		})
		up := func() bool { return told(t, reg)["token_up"] == 1 }
		testutil.Eventually(t, "the token is missed", func() bool { return !up() })
		testutil.Eventually(t, "the other tenant's rows are done", func() bool {
			if up() {
				t.Fatal("tokens are told to be there, and five rows wait for one")
			}
			return w.status(busy).Pending == 0
		})
		tokens.missing.Store(false)
		testutil.Eventually(t, "the waiting rows are done", func() bool { return w.status(waits).Pending == 0 })
		if !up() {
			t.Error("tokens are told to be missing, and all rows are done")
		}
	})
}

// TestNobodyWantsTheToken: that there is none is forgotten where no row wants it any
// more, as when a batch with a mistyped tenant was cancelled.
func TestNobodyWantsTheToken(t *testing.T) {
	var n noTokens
	now := time.Now()
	if !n.missed("a", now) || n.missed("a", now.Add(holdWait)) || n.got("b") {
		t.Error("what is new is not told")
	}
	if !n.any(now.Add(holdWait+tokenMissed)) || n.any(now.Add(holdWait+tokenMissed+1)) {
		t.Error("it is not forgotten in time")
	}
	if !n.missed("a", now.Add(time.Hour)) || !n.got("a") || n.any(now.Add(time.Hour)) {
		t.Error("it is not known anew")
	}
}
