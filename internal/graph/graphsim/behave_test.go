package graphsim

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestWindow(t *testing.T) {
	s, clock := newSim(t, Config{AutoCalls: true, Limit: Limit{Window: 3, Per: Duration(15 * time.Second)}})
	get := func(token string) *httptest.ResponseRecorder {
		return ask(s, "GET", base+"c/participants", "", "Authorization", "Bearer "+token)
	}
	clock.add(5 * time.Second)
	for range 3 {
		if rec := get("a"); rec.Code != 200 {
			t.Fatal(rec.Code)
		}
	}
	rec := get("a")
	if rec.Code != 429 || rec.Header().Get("Retry-After") != "10" || code(t, rec) != "TooManyRequests" {
		t.Fatalf("%d %v", rec.Code, rec.Header())
	}
	if rec := get("b"); rec.Code != 200 {
		t.Errorf("tokens are limited each alone: %d", rec.Code)
	}
	clock.add(time.Second)
	if rec := get("a"); rec.Code != 429 || rec.Header().Get("Retry-After") != "9" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	clock.add(9 * time.Second)
	if rec := get("a"); rec.Code != 200 {
		t.Errorf("after the wait: %d", rec.Code)
	}
	var within int
	for _, r := range s.Requests(0) {
		if r.Throttled {
			within++
			if r.SinceThrottle != time.Second {
				t.Errorf("%+v", r)
			}
		}
	}
	if within != 1 || s.Counters().SentWhileThrottled != 1 {
		t.Errorf("%d were sent within the wait", within)
	}
}

func TestBucket(t *testing.T) {
	s, clock := newSim(t, Config{AutoCalls: true, Limit: Limit{Rate: 10, Burst: 2, RetryAfter: Duration(5 * time.Second)}})
	get := func(want int) http.Header {
		t.Helper()
		rec := ask(s, "GET", base+"c/participants", "")
		if rec.Code != want {
			t.Errorf("%d, want %d", rec.Code, want)
		}
		return rec.Header()
	}
	get(200)
	get(200)
	if h := get(429); h.Get("Retry-After") != "5" {
		t.Errorf("%v", h)
	}
	clock.add(4 * time.Second)
	get(429) // inside the wait: it starts anew
	clock.add(4 * time.Second)
	get(429)
	clock.add(5 * time.Second)
	get(200)

	if err := s.SetLimit(Limit{Rate: 1, Burst: 1, Format: RetryDate}); err != nil {
		t.Fatal(err)
	}
	get(200)
	h := get(429)
	at, err := http.ParseTime(h.Get("Retry-After"))
	date, err2 := http.ParseTime(h.Get("Date"))
	if err != nil || err2 != nil || at.Sub(date) < time.Second {
		t.Errorf("%v", h)
	}
	clock.add(5 * time.Second)
	_ = s.SetLimit(Limit{Rate: 2, Burst: 1, Format: RetryFraction})
	get(200)
	h = get(429)
	if v, err := strconv.ParseFloat(h.Get("Retry-After"), 64); err != nil || v != 0.5 {
		t.Errorf("%v", h)
	}
	clock.add(5 * time.Second)
	_ = s.SetLimit(Limit{Rate: 1, Burst: 1, Format: RetryNone})
	get(200)
	if h := get(429); h.Get("Retry-After") != "" {
		t.Errorf("%v", h)
	}
	clock.add(time.Second)
	get(200) // nothing was announced, so nothing starts anew
}

func TestFaults(t *testing.T) { synctest.Test(t, testFaults) }

func testFaults(t *testing.T) {
	for fault, want := range map[string]struct {
		status  int
		applied bool
	}{
		FaultUnavailable:  {503, false},
		FaultInternal:     {500, false},
		FaultUnauthorized: {401, false},
		FaultReset:        {0, false},
		FaultSlow:         {200, true},
		FaultLost:         {0, true},
		FaultGateway:      {504, true},
		FaultCut:          {200, true},
	} {
		s, _ := newSim(t, Config{AutoCalls: true, Faults: Faults{"invite." + fault: 1}})
		rec := ask(s, "POST", base+"c/participants/invite", one("u"))
		if rec.Code != want.status {
			t.Errorf("%s: %d", fault, rec.Code)
		}
		if want.status == 500 && code(t, rec) != "9999" {
			t.Errorf("%s: %s", fault, rec.Body)
		}
		rings := s.State().Calls["c"].Rings["user:u"]
		r := s.Requests(0)[0]
		if (rings == 1) != want.applied || r.Applied != want.applied || r.Fault != fault || r.Status != want.status {
			t.Errorf("%s: rung %d times, %+v", fault, rings, r)
		}
		if rec := ask(s, "GET", base+"c/participants", ""); rec.Code != 200 {
			t.Errorf("%s: the fault is for invitations only: %d", fault, rec.Code)
		}
	}
	s, _ := newSim(t, Config{AutoCalls: true})
	if err := s.SetFaults(Faults{"lost": 0.25, "roster.lost": 0}); err != nil {
		t.Fatal(err)
	}
	for range 400 {
		ask(s, "POST", base+"c/participants/invite", one("u"))
		ask(s, "GET", base+"c/participants", "")
	}
	if n := s.Counters().ByStatus["0"]; n < 60 || n > 140 {
		t.Errorf("%d of 400 were lost, want about 100", n)
	}
}

// On the wire a reset is a closed connection, and a cut body is cut.
func TestFaultsOnTheWire(t *testing.T) {
	s, _ := newSim(t, Config{AutoCalls: true})
	server := httptest.NewServer(s)
	defer server.Close()
	for fault, answered := range map[string]bool{FaultReset: false, FaultLost: false, FaultCut: true} {
		if err := s.SetFaults(Faults{fault: 1}); err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+base+"c/participants/invite", strings.NewReader(one("u")))
		req.Header.Set("Authorization", "Bearer x")
		req.Header.Set("Content-Type", "application/json")
		resp, err := server.Client().Do(req)
		if (err == nil) != answered {
			t.Fatalf("%s: %v", fault, err)
		}
		if err == nil {
			var body [1 << 16]byte
			for err == nil {
				_, err = resp.Body.Read(body[:])
			}
			resp.Body.Close()
			if err.Error() != "unexpected EOF" {
				t.Errorf("%s: %v", fault, err)
			}
		}
	}
}

func TestOverlaps(t *testing.T) { synctest.Test(t, testOverlaps) }

func testOverlaps(t *testing.T) {
	const latency = 300 * time.Millisecond
	s, _ := newSim(t, Config{AutoCalls: true, Now: time.Now, Latency: latency})
	began := time.Now()
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { ask(s, "DELETE", base+"c/participants/p", "") })
		wg.Go(func() { ask(s, "GET", base+"c/participants/p", "") })
	}
	wg.Go(func() { ask(s, "DELETE", base+"d/participants/p", "") })
	wg.Wait()
	if took := time.Since(began); took != latency {
		t.Errorf("seven requests at once took %s", took)
	}
	c := s.Counters()
	if c.Overlaps != 2 || c.MaxOverlap["c participant:p"] != 3 || len(c.MaxOverlap) != 1 || len(s.log.active) != 0 {
		t.Errorf("%+v", c)
	}
}

func TestRecordsAreBounded(t *testing.T) {
	s, _ := newSim(t, Config{AutoCalls: true, MaxRecords: 5})
	for range 8 {
		ask(s, "DELETE", base+"c/participants/p", "")
	}
	if c := s.Counters(); len(s.Requests(0)) != 5 || c.Requests != 8 || c.Dropped != 3 {
		t.Errorf("%d kept, %+v", len(s.Requests(0)), c)
	}
	if len(s.Requests(4)) != 1 || len(s.Requests(99)) != 0 || len(s.Requests(-1)) != 5 {
		t.Error("Requests(since)")
	}
}

// A long run is kept whole, and can be read page by page.
func TestRecordsOfALongRun(t *testing.T) {
	s, clock := newSim(t, Config{})
	const n = 50_000
	for range n {
		s.log.add(Record{Start: clock.now(), Kind: KindDelete, Status: http.StatusNoContent})
	}
	seen := 0
	for _, since := range []int{0, 1, blockSize - 1, blockSize, n - 1, n, n + 1} {
		got := s.listed(since)
		from := min(since, n)
		if want := min(maxListed, n-from); len(got.Requests) != want || got.Next != from+want || got.Dropped != 0 {
			t.Fatalf("since %d: %d records, next %d, %d dropped", since, len(got.Requests), got.Next, got.Dropped)
		}
	}
	for {
		page := s.listed(seen)
		if len(page.Requests) == 0 {
			break
		}
		for _, r := range page.Requests {
			if r.N != seen {
				t.Fatalf("record %d in the place of %d", r.N, seen)
			}
			seen++
		}
	}
	if seen != n || len(s.Requests(0)) != n {
		t.Errorf("%d were listed, %d are kept", seen, len(s.Requests(0)))
	}
}
