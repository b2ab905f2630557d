package ratelimit

import (
	"math"
	"testing"
)

// graphLimit is a limit as Graph could have it: 0, or the seconds until there is
// room again.
type graphLimit interface {
	take(at float64) float64
}

type tokenBucket struct {
	rate         func(at float64) float64
	burst        float64 // seconds' worth
	tokens, last float64
}

func steadily(rate float64) func(float64) float64 { return func(float64) float64 { return rate } }

func (b *tokenBucket) take(at float64) float64 {
	rate := b.rate(at)
	if b.last == 0 {
		b.tokens = rate * b.burst
	}
	b.tokens = min(rate*b.burst, b.tokens+rate*(at-b.last))
	b.last = at
	if b.tokens >= 1 {
		b.tokens--
		return 0
	}
	return (1 - b.tokens) / rate
}

type fixedWindow struct {
	room, seconds, number, count float64
}

func (w *fixedWindow) take(at float64) float64 {
	if n := math.Floor(at / w.seconds); n != w.number {
		w.number, w.count = n, 0
	}
	if w.count < w.room {
		w.count++
		return 0
	}
	return (w.number+1)*w.seconds - at
}

// outage is a limit with a time in which Graph refuses everything.
type outage struct {
	graphLimit
	from, to float64
}

func (o outage) take(at float64) float64 {
	if at >= o.from && at < o.to {
		return 1
	}
	return o.graphLimit.take(at)
}

// What Graph says of a wait.
func wholeSeconds(wait float64) (float64, bool) { return math.Ceil(wait - 1e-9), true }
func tenthOfSecond(float64) (float64, bool)     { return 0.1, true }
func nothing(float64) (float64, bool)           { return 0, false }

// TestSearch lets the search find limits that it does not know.
func TestSearch(t *testing.T) {
	steady := func(rate, burst float64) *tokenBucket { return &tokenBucket{rate: steadily(rate), burst: burst} }
	moving := func(at float64) float64 {
		switch {
		case at < 20:
			return 200
		case at < 45:
			return 50
		}
		return 400
	}
	for name, c := range map[string]struct {
		fleet
		room          float64 // requests allowed from the time on that counts
		good, refused float64
	}{
		"bucket, a second's burst": {fleet{limit: steady(200, 1), from: 10, seconds: 70}, 12000, 0.97, 0.01},
		"bucket, small burst":      {fleet{limit: steady(200, 0.05), from: 10, seconds: 70}, 12000, 0.92, 0.01},
		"slow bucket":              {fleet{limit: steady(5, 1), from: 10, seconds: 70}, 300, 0.9, 0.1},
		"slow bucket, no burst":    {fleet{limit: steady(5, 0.2), from: 20, seconds: 120}, 500, 0.75, 0.1},
		"fast bucket":              {fleet{limit: steady(3333, 1), from: 15, seconds: 75}, 200000, 0.97, 0.015},
		"window":                   {fleet{limit: &fixedWindow{room: 750, seconds: 15}, from: 15, seconds: 105}, 4500, 0.95, 0.03},
		"Graph's own window":       {fleet{limit: &fixedWindow{room: 50000, seconds: 15}, from: 30, seconds: 120}, 300000, 0.95, 0.03},
		"drop":                     {fleet{limit: &tokenBucket{rate: moving, burst: 1}, from: 35, seconds: 45}, 500, 0.9, 0.03},
		"drop, small burst":        {fleet{limit: &tokenBucket{rate: moving, burst: 0.2}, from: 35, seconds: 45}, 500, 0.75, 0.03},
		"rise":                     {fleet{limit: &tokenBucket{rate: moving, burst: 1}, from: 60, seconds: 100}, 16000, 0.9, 0.03},

		"five seconds of refusals":    {fleet{limit: &outage{steady(500, 1), 60, 65}, from: 70, seconds: 300}, 115000, 0.9, 0.01},
		"window, no Retry-After":      {fleet{limit: &fixedWindow{room: 1000, seconds: 10}, retry: nothing, from: 60, seconds: 300}, 24000, 0.8, 0.05},
		"window, a wait too short":    {fleet{limit: &fixedWindow{room: 1000, seconds: 10}, retry: tenthOfSecond, from: 60, seconds: 300}, 24000, 0.8, 0.1},
		"2/s, no Retry-After":         {fleet{limit: steady(2, 5), retry: nothing, from: 60, seconds: 300}, 480, 0.8, 0.1},
		"2/s, a wait too short":       {fleet{limit: steady(2, 0.5), retry: tenthOfSecond, from: 60, seconds: 300}, 480, 0.8, 0.15},
		"0.5/s, no Retry-After":       {fleet{limit: steady(0.5, 2.02), retry: nothing, from: 60, seconds: 300}, 120, 0.8, 0.25},
		"one in ten seconds":          {fleet{limit: steady(0.1, 10.1), from: 60, seconds: 300}, 24, 0.8, 0.5},
		"work for 0.8 of each second": {fleet{limit: steady(200, 0.1), demand: func(at float64) bool { return math.Mod(at, 1) < 0.8 }, from: 60, seconds: 300}, 38400, 0.85, 0.01},
		// What is under way when Graph first refuses is refused, too, and much of it.
		"answers after ten seconds": {fleet{limit: steady(100, 1), latency: 10, from: 60, seconds: 300}, 24000, 0.6, 0.85},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := c.fleet
			f.seed = 1
			if f.latency == 0 {
				f.latency = 0.055
			}
			if f.retry == nil {
				f.retry = wholeSeconds
			}
			if f.demand == nil {
				f.demand = func(float64) bool { return true }
			}
			got := f.run()
			good, refused := got.accepted/c.room, got.refused/got.all
			t.Logf("used %.3f of the limit; %.4f of the requests refused", good, refused)
			if good < c.good || refused > c.refused {
				t.Errorf("want at least %.2f, and at most %.2f refused", c.good, c.refused)
			}
		})
	}
}

func TestNext(t *testing.T) {
	endless := math.Inf(1)
	fresh := begin(0)
	// A bucket of 200/s with a second's burst, after two runs.
	bucket := search{Climb: climb{Low: 200, High: 220, Seconds: 9}}
	bucket = bucket.next(refusal{To: 10, Rest: 1, Pause: 1.05, Seconds: 10}, endless)
	for name, c := range map[string]struct {
		search                                              search
		refusal                                             refusal
		ceiling                                             float64
		lowFrom, lowTo, highFrom, highTo, shortest, longest float64
	}{
		"first refusal": {fresh, refusal{To: 1.5, Rest: 3600, Pause: 1.05, Seconds: 1.5}, endless,
			50, 150, 120, 200, firstClimb, firstClimb},
		"at the ceiling": {begin(100), refusal{To: 30, Rest: 3600, Pause: 1.05, Seconds: 30}, 100,
			90, 100, 97, 100, firstClimb, firstClimb},
		"the limit has dropped": {bucket, refusal{To: 0.3, Rest: 1, Pause: 1.05, Seconds: 0.3}, endless,
			20, 80, 60, 220, firstClimb, firstClimb},
		"a window": {fresh, refusal{To: 3, Rest: 3600, Pause: 12, Seconds: 3}, endless,
			10, 200, 50, 400, 15, 15},
		"others use the limit": {bucket, refusal{To: 2, Rest: 1, Pause: 1.05, Seconds: 10, Idle: 8, Sent: 800}, endless,
			56, 56, 80, 80, firstClimb, firstClimb},
		"one request an hour": {bucket, refusal{To: 0, Rest: 3600, Pause: 60, Seconds: 0, Sent: 1}, endless,
			slowest, 250, slowest, 250, firstClimb, longClimb},
	} {
		got := c.search.next(c.refusal, c.ceiling).Climb
		if got.Low < c.lowFrom || got.Low > c.lowTo || got.High < c.highFrom || got.High > c.highTo || got.High < got.Low ||
			got.Seconds < c.shortest || got.Seconds > c.longest {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestEarlyRefusals: three requests refused right after as many pauses.
func TestEarlyRefusals(t *testing.T) {
	s := search{Climb: climb{Low: 480, High: 520, Seconds: 9}}
	s = s.next(refusal{To: 10, Rest: 1, Pause: 1.05, Seconds: 10, Sent: 5000}, math.Inf(1))
	for range 3 {
		s = s.next(refusal{To: 0, Rest: 1, Pause: 1.05, Seconds: 0, Sent: 1}, math.Inf(1))
	}
	if s.Climb.High < 5 {
		t.Errorf("after ten seconds at 500/s and three refusals of a first request: %+v", s.Climb)
	}
	// One that sent twenty requests in a fifth of a second, with a moment's idleness.
	s = search{Climb: climb{Low: 200, High: 220, Seconds: 9}}
	s = s.next(refusal{To: .1, Rest: 1, Pause: 1.05, Seconds: .1, Idle: .02, Sent: 16}, math.Inf(1))
	if s.Climb.High < 50 {
		t.Errorf("refused at 160/s: %+v", s.Climb)
	}
}
