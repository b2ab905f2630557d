package tasks

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/graph/graphsim"
	"rollcall/internal/ledger"
	"rollcall/internal/redistest"
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
// requests for another are sent; and no longer when there is one again, though no row
// wants it.
func TestTokensOfTenants(t *testing.T) {
	t.Parallel()
	const good, bad = "aaaaaaaa-0000-0000-0000-000000000001", "bbbbbbbb-0000-0000-0000-000000000002"
	w := newWorld(t, redistest.Any(t), graphsim.Config{})
	busy, waits := w.put(w.request(tenantDeletes(good, 200), true)), w.put(w.request(tenantDeletes(bad, 5), true))
	tokens, reg := &tenantTokens{without: bad}, prometheus.NewRegistry()
	tokens.missing.Store(true)
	w.work(func(c *WorkerConfig) {
		c.Metrics, c.Graph.Tokens, c.Rate, c.SweepEvery = reg, tokens, 50, 100*time.Millisecond
	})
	up := func() bool { return told(t, reg)["token_up"] == 1 }
	redistest.Eventually(t, time.Minute, "the token is missed", func() bool { return !up() })
	redistest.Eventually(t, time.Minute, "the other tenant's rows are done", func() bool {
		if up() {
			t.Fatal("tokens are told to be there, and five rows wait for one")
		}
		return w.status(busy).Pending == 0
	})
	if err := w.q.Cancel(t.Context(), waits); err != nil {
		t.Fatal(err)
	}
	redistest.Eventually(t, time.Minute, "the waiting rows are cancelled", func() bool { return w.status(waits).Pending == 0 })
	if got := w.status(waits).Outcomes[ledger.Cancelled]; got != 5 {
		t.Errorf("%d rows were cancelled", got)
	}
	tokens.missing.Store(false)
	redistest.Eventually(t, time.Minute, "it is known that there is a token", up)
}
