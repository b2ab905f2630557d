package graphsim

import (
	"net/http"
	"testing"
	"time"
)

// sent is one request of a test of limits, and what becomes of it.
type sent struct {
	after       time.Duration // the one before
	method      string        // GET: the roster; DELETE: of nobody, 404
	call, token string
	status      int
	wait        string // Retry-After
	tenant      string
	within      bool // recorded as sent within a wait
}

func TestWhatIsCountedTogether(t *testing.T) {
	const get, del = http.MethodGet, http.MethodDelete
	sec := func(n int) Duration { return Duration(time.Duration(n) * time.Second) }
	single := func(wait int) Limit { return Limit{Rate: 0.01, Burst: 1, RetryAfter: sec(wait)} }
	with := func(l Limit, reads *Limit) Limit { l.Reads = reads; return l }
	ten, twenty := single(10), single(20)
	for name, tt := range map[string]struct {
		cfg  Config
		sent []sent
	}{
		"reads together with the others": {Config{Limit: single(10)}, []sent{
			{method: del, call: "c", status: 404},
			{method: get, call: "c", status: 429, wait: "10"},
		}},
		"reads apart": {Config{Limit: with(single(10), &twenty)}, []sent{
			{method: del, call: "c", status: 404},
			{method: get, call: "c", status: 200},
			{method: del, call: "c", status: 429, wait: "10"},
			{after: time.Second, method: get, call: "c", status: 429, wait: "20"}, // not within the wait of the others
			{after: time.Second, method: get, call: "d", status: 429, wait: "20", within: true},
			{method: del, call: "c", status: 429, wait: "10", within: true},
			{method: get, call: "c", token: "other", status: 200},
		}},
		"a wait of one does not refuse the other": {Config{Limit: with(single(1000), &Limit{Rate: 1, Burst: 1})}, []sent{
			{method: del, call: "c", status: 404},
			{method: del, call: "c", status: 429, wait: "1000"},
			{method: get, call: "c", status: 200},
			{method: get, call: "c", status: 429, wait: "1"},
			{after: time.Second, method: get, call: "c", status: 200},
			{method: del, call: "c", status: 429, wait: "1000", within: true},
		}},
		"reads alone": {Config{Limit: Limit{Reads: &Limit{Window: 1, Per: sec(15)}}}, []sent{
			{method: get, call: "c", status: 200},
			{method: get, call: "c", status: 429, wait: "15"},
			{method: del, call: "c", status: 404},
			{method: del, call: "c", status: 404},
		}},
		"reads without a limit": {Config{Limit: with(single(10), &Limit{})}, []sent{
			{method: del, call: "c", status: 404},
			{method: del, call: "c", status: 429, wait: "10"},
			{method: get, call: "c", status: 200},
			{method: get, call: "c", status: 200},
		}},
		"tenants": {Config{Limit: single(10), Tenants: Tenants{"a": {"a-", single(20)}, "b": {"B-", single(30)}, "free": {"f-", Limit{}}}}, []sent{
			{method: del, call: "a-1", status: 404, tenant: "a"},
			{method: get, call: "A-2", token: "other", status: 429, wait: "20", tenant: "a"}, // whatever the token and the case
			{method: del, call: "b-1", status: 404, tenant: "b"},
			{method: del, call: "c", status: 404},
			{method: del, call: "c-a-", status: 429, wait: "10"},
			{method: del, call: "c", token: "other", status: 404},
			{after: time.Second, method: del, call: "b-1", status: 429, wait: "30", tenant: "b"},
			{method: del, call: "a-1", status: 429, wait: "20", within: true, tenant: "a"},
			{method: del, call: "f-1", status: 404, tenant: "free"},
			{method: del, call: "f-1", status: 404, tenant: "free"},
		}},
		"a tenant named as a token": {Config{Limit: single(10), Tenants: Tenants{"token-1": {"a-", single(10)}}}, []sent{
			{method: del, call: "a-1", status: 404, tenant: "token-1"},
			{method: del, call: "c", status: 404},
		}},
		"a tenant's reads apart": {Config{Tenants: Tenants{"a": {"a-", with(single(10), &twenty)}, "b": {"b-", single(30)}}}, []sent{
			{method: del, call: "a-1", status: 404, tenant: "a"},
			{method: get, call: "a-1", status: 200, tenant: "a"},
			{method: get, call: "a-1", status: 429, wait: "20", tenant: "a"},
			{method: del, call: "a-1", status: 429, wait: "10", tenant: "a"},
			{method: get, call: "b-1", status: 200, tenant: "b"},
			{method: del, call: "b-1", status: 429, wait: "30", tenant: "b"},
			{method: get, call: "c", status: 200},
		}},
		"the reads of no tenant do not hold for a tenant": {Config{Limit: Limit{Reads: &ten}, Tenants: Tenants{"a": {"a-", Limit{}}}}, []sent{
			{method: get, call: "c", status: 200},
			{method: get, call: "c", status: 429, wait: "10"},
			{method: get, call: "a-1", status: 200, tenant: "a"},
			{method: get, call: "a-1", status: 200, tenant: "a"},
		}},
		"the longest decides": {Config{Tenants: Tenants{"a": {"t1", single(10)}, "b": {"t10-", single(20)}}}, []sent{
			{method: del, call: "t1-x", status: 404, tenant: "a"},
			{method: del, call: "t10-x", status: 404, tenant: "b"},
			{method: del, call: "t10-x", status: 429, wait: "20", tenant: "b"},
			{method: del, call: "t11-x", status: 429, wait: "10", tenant: "a"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.cfg.AutoCalls = true
			s, clock := newSim(t, tt.cfg)
			for i, step := range tt.sent {
				clock.add(step.after)
				path := base + step.call + "/participants"
				if step.method == del {
					path += "/p"
				}
				token := step.token
				if token == "" {
					token = "token-1"
				}
				rec := ask(s, step.method, path, "", "Authorization", "Bearer "+token)
				if rec.Code != step.status || rec.Header().Get("Retry-After") != step.wait {
					t.Fatalf("request %d: %d, wait %q; want %+v", i, rec.Code, rec.Header().Get("Retry-After"), step)
				}
				r := s.Requests(i)[0]
				if r.Tenant != step.tenant || r.Throttled != step.within || r.Status != step.status || !r.Start.Equal(clock.now()) {
					t.Errorf("request %d: recorded %+v; want %+v", i, r, step)
				}
			}
		})
	}
}

func TestLimitsAreSetWhileItRuns(t *testing.T) {
	s, _ := newSim(t, Config{AutoCalls: true})
	for i, step := range []struct {
		set          string // to /_sim/faults
		status       int
		get, del     string // calls read and deleted from after it
		wantG, wantD int
	}{
		{`{"limit":{"rate":0.01,"burst":1,"reads":{"window":1,"per":"1h"}}}`, 204, "c", "c", 200, 404},
		{`{"latency":"0s"}`, 204, "c", "c", 429, 429},
		{`{"tenants":{"a":{"calls":"a-","limit":{"rate":0.01,"burst":1}},"b":{"calls":"b-","limit":{}}}}`, 204, "a-1", "a-1", 200, 429},
		{`{"faults":{}}`, 204, "b-1", "a-1", 200, 429},
		{`{"tenants":null}`, 204, "b-1", "a-1", 200, 429},
		{`{"tenants":{"b":{"calls":"b-","limit":{"rate":0.01,"burst":1}}}}`, 204, "b-1", "a-1", 200, 429}, // by the token's now
		{`{"tenants":{"b":{"calls":"b-"},"c":{"calls":"B-"}}}`, 400, "c", "b-1", 429, 429},
		{`{"tenants":{"b":{"limit":{}}}}`, 400, "c", "b-1", 429, 429},
		{`{"limit":{"reads":{"reads":{}}}}`, 400, "c", "b-1", 429, 429},
		{`{"tenants":{},"limit":{"reads":{"rate":-1}}}`, 400, "c", "b-1", 429, 429},
		{`{"tenants":{}}`, 204, "b-1", "b-1", 429, 429},
	} {
		if rec := ask(s, "POST", "/_sim/faults", step.set); rec.Code != step.status {
			t.Fatalf("%d: %d %s", i, rec.Code, rec.Body)
		}
		if rec := ask(s, "GET", base+step.get+"/participants", ""); rec.Code != step.wantG {
			t.Errorf("%d: GET %d", i, rec.Code)
		}
		if rec := ask(s, "DELETE", base+step.del+"/participants/p", ""); rec.Code != step.wantD {
			t.Errorf("%d: DELETE %d", i, rec.Code)
		}
	}
	got := parse[listing](t, ask(s, "GET", "/_sim/requests?since=4", "")).Requests
	if got[0].Tenant != "a" || got[0].Kind != KindRoster || got[1].Status != 429 || got[len(got)-1].Tenant != "" {
		t.Errorf("%+v", got)
	}

	// What was set cannot be changed from outside, and a mistake changes nothing.
	reads, tenants := Limit{}, Tenants{"a": {"a-", Limit{Reads: &Limit{}}}}
	if err := s.SetLimit(Limit{Reads: &reads}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetTenants(tenants); err != nil {
		t.Fatal(err)
	}
	reads.Rate, tenants["a"].Limit.Reads.Rate = 1, 1
	if s.limit.Reads.Rate != 0 || s.tenants[0].limit.Reads.Rate != 0 {
		t.Error("limits are shared with who set them")
	}
	if s.SetTenants(Tenants{"b": {}}) == nil || len(s.tenants) != 1 || s.tenants[0].name != "a" {
		t.Errorf("%+v", s.tenants)
	}
}
