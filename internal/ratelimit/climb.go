package ratelimit

import "math"

const (
	// firstRate is where a search begins that knows nothing, in requests a second.
	firstRate = 100
	// doubling is the seconds in which the rate doubles until Graph first refuses,
	// if answers take usualAnswer seconds, and as much less as they take less: what
	// is sent before a refusal is known is wasted.
	doubling, usualAnswer = 1.5, 0.05
	// quickest is by how much faster it doubles at most.
	quickest = 30
	// sprint is the seconds that a climb takes beyond its end to double, growing
	// ever faster: a limit that has risen is found in seconds, however far it rose.
	sprint = 2.5
	// slowest and fastest bound every rate.
	slowest, fastest = 0.05, 100_000
)

// climb is a rate that grows with the seconds for which all of it is used: from
// Low quickly at first, then ever more slowly to High, which it reaches after
// Seconds, and then ever faster (a cubic, as congestion control uses it). With
// no High, nothing is known, and it doubles steadily.
type climb struct {
	Low     float64 `json:"low"`
	High    float64 `json:"high,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
}

// rate gives the requests a second after so many seconds of use, at most the
// ceiling.
func (c climb) rate(used, ceiling float64) float64 {
	var r float64
	switch left := 1 - used/c.Seconds; {
	case c.High == 0:
		r = c.Low * math.Exp2(used/doubling)
	case left > 0:
		r = c.High - (c.High-c.Low)*left*left*left
	default:
		x := (used - c.Seconds) / sprint
		r = c.High * (1 + x*x*x)
	}
	return min(max(min(r, fastest), slowest), ceiling)
}

// run is what was sent from a pause, or a second without work, to the next
// refusal.
type run struct {
	Climb   climb   `json:"climb"`
	From    float64 `json:"from"` // on the climb
	To      float64 `json:"to"`
	Seconds float64 `json:"seconds"` // in which all of the rate was used
	Rest    float64 `json:"rest"`    // seconds for which Graph could recover before
}

// hurry is how much faster than usual a climb goes on whose end is not known,
// with answers that take so many seconds.
func (c climb) hurry(answer float64) float64 {
	if c.High > 0 || answer <= 0 {
		return 1
	}
	return min(max(usualAnswer/answer, 1), quickest)
}

// limit is what Graph's limit must be if a rest of that many seconds gives
// Graph's burst back that many seconds' worth of requests, share times the rest:
// the rate above which the run has sent just those when it was refused. It is
// highest with a share of 0, the rate of the refusal, and lowest with 1.
func (r run) limit(share, ceiling float64) float64 {
	const steps = 100
	low, high := 0.0, r.Climb.rate(r.To, ceiling)
	for range 30 {
		middle := (low + high) / 2
		over := 0.0
		for i := range steps {
			used := r.From + (float64(i)+0.5)/steps*(r.To-r.From)
			over += max(0, r.Climb.rate(used, ceiling)-middle) * r.Seconds / steps
		}
		if over >= middle*share*r.Rest {
			low = middle
		} else {
			high = middle
		}
	}
	return max(high, slowest)
}
