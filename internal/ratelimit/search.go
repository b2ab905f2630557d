package ratelimit

import (
	"encoding/json"
	"math"
)

// shares are the possible answers to what Graph's burst gives back of a rest: a
// bucket with room for a few requests nothing to speak of, one with room for a
// second's worth all of a pause of a second, and so does a window.
var shares = [...]float64{0.02, 0.1, 0.3, 0.6, 1}

const (
	// probeCost is the share of the throughput that looking for a higher limit may
	// cost. What a look costs is the part of a pause that is not given back.
	probeCost = 0.03
	// A climb takes firstClimb when little is known, and else between shortClimb
	// and longClimb, all in seconds. With a second's pause a shorter one would
	// spend more than a hundredth of the requests on refusals.
	firstClimb, shortClimb, longClimb = 4, 9, 60
	// longPause tells a window from a bucket, in seconds.
	longPause = 2
	// noise is how far two runs' views of a limit differ by chance, as a share.
	noise = 0.03
	// moved is how far they differ when the limit has moved.
	moved = 0.1
	// furthest is by how much one refusal can cut the rate, at most.
	furthest = 100
	// atOnce is the seconds within which a refusal comes right after a pause, and
	// says that Graph has not recovered rather than what its limit is.
	atOnce = 0.3
)

// search is what is known of a scope's limit, and how the rate goes on.
type search struct {
	Climb climb `json:"climb"`
	// Last is the run before, if it says something.
	Last *run `json:"last,omitempty"`
	// Weights are what speaks for each of the shares, as logarithms.
	Weights [len(shares)]float64 `json:"weights"`
}

// refusal is what was measured when Graph refused a request, for the first time
// in its run.
type refusal struct {
	From, To float64 // on the climb, when the run began and when it was sent
	Rest     float64 // seconds without requests before the run
	Pause    float64 // seconds from it until requests may be sent again
	Seconds  float64 // of the run
	Idle     float64 // those of them in which less was sent than could have been
	Sent     float64 // requests in the run
}

// begin is a search that knows nothing. A ceiling is trusted: whoever names one
// wants it.
func begin(ceiling float64) search {
	first := float64(firstRate)
	if ceiling > 0 {
		first = ceiling
	}
	return search{Climb: climb{Low: first}}
}

// next is how a search goes on after a refusal. The rate is cut to just below
// where the limit is believed to be, by all that the run and the one before say,
// and climbs to just above it: the surer that is, the nearer and the longer.
func (s search) next(r refusal, ceiling float64) search {
	switch {
	case r.Seconds < atOnce && s.Climb.High > 0:
		return s.again(r, ceiling)
	case r.Idle > 0.5*r.Seconds:
		return s.crowded(r, ceiling)
	}
	now := run{Climb: s.Climb, From: r.From, To: r.To, Seconds: r.Seconds - r.Idle, Rest: min(r.Rest, r.Pause)}
	n := search{Last: &now, Weights: s.Weights}
	same := s.Last != nil && n.compare(*s.Last, ceiling)

	top := now.limit(0, ceiling)
	bottom := max(now.limit(1, ceiling), top/furthest)
	mean, spread, share := n.believe(ceiling)
	// A run that was over at once tells a limit that has moved from a small burst
	// by nothing: the truth is somewhere between all and nothing.
	if short := 1 - now.Seconds/(2*now.Rest); short > 0 {
		mean += (math.Log(math.Sqrt(top*bottom)) - mean) * short
		spread = max(spread, math.Log(top/bottom)/2*short)
	}
	limit := math.Exp(mean)

	seconds := float64(firstClimb)
	if same {
		most := (1 - share) * r.Pause / probeCost
		seconds = min(max(most, shortClimb), longClimb, max(seconds, 3*s.Climb.Seconds))
	}
	if r.Pause > longPause {
		// A window, which ends with the pause: no use in being at its end sooner.
		seconds = max(seconds, min(now.Seconds+r.Pause, longClimb/2))
	}
	n.Climb = climb{
		Low:     limit * math.Exp(-spread) * (1 - (1-share)*probeCost/2),
		High:    min(limit*math.Exp(spread)*(1+share*min(1, r.Pause)/seconds), max(top, limit)),
		Seconds: seconds,
	}
	return n
}

// again goes on after a refusal right after a pause. The limit that was known
// stands, and the way there begins lower, unless that did not help. Of a single
// request only the pause before it was too short.
func (s search) again(r refusal, ceiling float64) search {
	if r.Sent <= 1 {
		return s
	}
	began := s.Climb.rate(r.From, ceiling)
	high := max(s.Climb.High, began)
	if began < high/7 { // it began there already
		high /= 2
	}
	s.Climb = climb{Low: max(began/2, high/8), High: high, Seconds: firstClimb}
	return s
}

// crowded goes on after a refusal of much less than the fleet could have sent:
// somebody else uses the limit, too.
func (s search) crowded(r refusal, ceiling float64) search {
	sent := max(r.Sent/max(r.Seconds, 1), s.Climb.rate(r.To, ceiling)/4)
	return search{Climb: climb{Low: 0.7 * sent, High: sent, Seconds: firstClimb}, Weights: s.Weights}
}

// compare weighs the shares by how well this run and the one before agree on the
// limit under each, and tells whether they do under any.
func (s *search) compare(before run, ceiling float64) bool {
	var off [len(shares)]float64
	best, worst := math.Inf(1), 0.0
	for i, share := range shares {
		d := math.Log(s.Last.limit(share, ceiling) / before.limit(share, ceiling))
		off[i] = d * d / (2 * noise * noise)
		best, worst = min(best, off[i]), max(worst, off[i])
	}
	if best > moved*moved/(2*noise*noise) {
		return false
	}
	if worst-best > 0.3 { // runs that are alike say nothing
		for i := range shares {
			s.Weights[i] = 0.8*s.Weights[i] - min(off[i]-best, 3)
		}
	}
	return true
}

// believe gives the mean of the limit's logarithm and its spread, and the mean
// share.
func (s *search) believe(ceiling float64) (mean, spread, share float64) {
	var sum, square, all float64
	for i, x := range shares {
		w := math.Exp(s.Weights[i])
		l := math.Log(s.Last.limit(x, ceiling))
		sum, square, share, all = sum+w*l, square+w*l*l, share+w*x, all+w
	}
	mean = sum / all
	return mean, math.Sqrt(max(0, square/all-mean*mean)), share / all
}

// parse reads a search that was kept in Redis. What cannot be read or makes no
// sense was written by another version: a search that begins is better than none.
func parse(text string, ceiling float64) search {
	var s search
	if err := json.Unmarshal([]byte(text), &s); err != nil || !s.valid() {
		return begin(ceiling)
	}
	return s
}

func (s search) valid() bool {
	for _, w := range s.Weights {
		if math.Abs(w) > 100 {
			return false
		}
	}
	return s.Climb.valid() && (s.Last == nil || s.Last.Climb.valid() && s.Last.To >= s.Last.From && s.Last.Seconds >= 0 && s.Last.Rest >= 0)
}
