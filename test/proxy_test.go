//go:build integration || endurance

package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// newProxy stands between the commands and a server until the test ends.
func newProxy(t testing.TB, name, upstream string) *toxiproxy.Proxy {
	t.Helper()
	p := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), name, "127.0.0.1:0", upstream)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// toxic makes a proxy do harm, under a name by which that can be ended.
func toxic(t testing.TB, p *toxiproxy.Proxy, name, what string) {
	t.Helper()
	if _, err := p.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"name":%q,%s}`, name, what))); err != nil {
		t.Error(err)
	}
}
