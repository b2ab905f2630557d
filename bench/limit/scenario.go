package main

import (
	"time"

	"rollcall/bench/internal/measure"
	"rollcall/bench/internal/work"
	"rollcall/internal/graph/graphsim"
)

// warmUp is how long subjects have to find the limit before it is measured how
// well they use it.
const warmUp = 10 * time.Second

// settled is how long they have after a move of the limit.
const settled = 15 * time.Second

// scenario is a way in which Graph limits.
type scenario struct {
	name, about string
	least       time.Duration // the shortest measurement that shows it
	steps       []step
	// tenants have a limit each, instead. The first is throttled hard, and the
	// measurement is made once more with the second alone.
	tenants []tenant
	// mixed is work of invites and of deletes that need rosters, measured by the
	// changes made. All else is deletes of one request each.
	mixed bool
	// told is what subjects are told that must be told a rate: the truth, as it
	// is at the start.
	told map[string]float64
	// ceiling is what all are told, rollcall too, where Graph has no limit.
	ceiling float64

	join, kill time.Duration // when a fifth process starts, and one is killed
}

// step is a limit from a time on.
type step struct {
	from  time.Duration
	limit graphsim.Limit
}

// tenant is a limit for a part of the calls.
type tenant struct {
	name  string
	limit graphsim.Limit
}

// bucket is a limit of so many requests a second.
func bucket(rate float64, burst int) graphsim.Limit { return graphsim.Limit{Rate: rate, Burst: burst} }

func scenarios() []scenario {
	return []scenario{
		{
			name: "bucket", about: "200 requests a second, bursts of up to 200",
			steps: []step{{0, bucket(200, 200)}},
			told:  map[string]float64{"": 200},
		},
		{
			name: "tight", about: "200 requests a second, bursts of up to 10",
			steps: []step{{0, bucket(200, 10)}},
			told:  map[string]float64{"": 200},
		},
		{
			name: "moves", about: "200 requests a second, from 20 s on 50, from 45 s on 400; bursts of one second's worth",
			least: 80 * time.Second,
			steps: []step{{0, bucket(200, 0)}, {20 * time.Second, bucket(50, 0)}, {45 * time.Second, bucket(400, 0)}},
			told:  map[string]float64{"": 200},
		},
		{
			name: "window", about: "750 requests in each 15 s by the clock",
			least: 90 * time.Second,
			steps: []step{{0, graphsim.Limit{Window: 750, Per: graphsim.Duration(15 * time.Second)}}},
			told:  map[string]float64{"": 50},
		},
		{
			name: "ceiling", about: "no limit, but 100 requests a second asked for; a fifth process from 20 s on, one is killed at 35 s",
			least: 50 * time.Second,
			steps: []step{{0, graphsim.Limit{}}},
			told:  map[string]float64{"": 100}, ceiling: 100,
			join: 20 * time.Second, kill: 35 * time.Second,
		},
		{
			name: "tenants", about: "tenant a 10 requests a second and bursts of up to 10, tenant b 200 and 200; the work of a was enqueued first",
			tenants: []tenant{{"a", bucket(10, 10)}, {"b", bucket(200, 200)}},
			told:    map[string]float64{"a": 10, "b": 200},
		},
		{
			name: "split", about: "200 writes and 40 reads a second; half invites, half deletes by user",
			steps: []step{{0, graphsim.Limit{Rate: 200, Reads: &graphsim.Limit{Rate: 40}}}},
			mixed: true,
			told:  map[string]float64{"": 200, "/reads": 40},
		},
		{
			name: "mixed", about: "100 requests a second, reads and writes together, bursts of up to 100; half invites, half deletes by user",
			steps: []step{{0, bucket(100, 0)}},
			mixed: true,
			told:  map[string]float64{"": 100},
		},
	}
}

// length is how long a measurement takes if asked is asked for.
func (sc *scenario) length(asked time.Duration) time.Duration { return max(asked, sc.least) }

// limit is the limit that there should be, over time.
func (sc *scenario) limit() measure.Limit {
	var l measure.Limit
	for _, s := range sc.steps {
		l = append(l, measure.Step{From: s.from, Rate: sc.rate(s.limit)})
	}
	return l
}

// rate is what a limit comes to in the long run, or what was asked for.
func (sc *scenario) rate(l graphsim.Limit) float64 {
	switch {
	case sc.ceiling > 0:
		return sc.ceiling
	case l.Window > 0:
		return float64(l.Window) / time.Duration(l.Per).Seconds()
	}
	return l.Rate
}

// spare is by how much there is more work than the limit lets through, so that
// nobody runs dry.
const spare = 1.25

// mixedCalls is how many calls a second's worth of mixed work has: more than
// anybody could do.
const mixedCalls = 25

// rows are enough rows for a measurement. only names the tenant that is alone.
func (sc *scenario) rows(length time.Duration, only string) []work.Row {
	if sc.mixed {
		return work.Mixed(int(length.Seconds() * mixedCalls))
	}
	limit := sc.limit()
	for _, t := range sc.tenants {
		limit = measure.Limit{{Rate: t.limit.Rate}} // the last has the most
	}
	n := int(spare*limit.Allowed(0, length)) + 1000
	if len(sc.tenants) == 0 {
		return work.Deletes("", n)
	}
	var rows []work.Row
	for _, t := range sc.tenants {
		if only == "" || only == t.name {
			rows = append(rows, work.Deletes(t.name, n)...)
		}
	}
	return rows
}
