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

// hurry is how much faster than usual a climb goes on whose end is not known,
// with answers that take so many seconds.
func (c climb) hurry(answer float64) float64 {
	if c.High > 0 || answer <= 0 {
		return 1
	}
	return min(max(usualAnswer/answer, 1), quickest)
}

// valid tells whether a climb that was read makes sense.
func (c climb) valid() bool {
	return c.Low > 0 && c.Low <= fastest && (c.High == 0 || c.High >= c.Low && c.High <= 2*fastest && c.Seconds > 0)
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

// limit is Graph's limit as the run shows it, under an assumption: that of a rest
// Graph's burst gets back share times as many requests as the limit would have let
// through in it. The limit then is the rate above which the run had sent just that
// many when it was refused. With a share of 0 that is the rate of the refusal;
// with a greater share it is lower.
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
