package ledger

import (
	"testing"
	"time"
)

// course is that of a batch whose rows get their outcomes at the times given, which
// are in order.
func course(age time.Duration, at []time.Duration) Course {
	c := Course{Age: age}
	n := int64(0)
	from, to := spanTimes(n)
	for _, t := range at {
		if t > age {
			break
		}
		for to <= t {
			n++
			from, to = spanTimes(n)
		}
		if k := len(c.Spans); k == 0 || c.Spans[k-1].From != from {
			c.Spans = append(c.Spans, Span{From: from, To: to, Outcomes: map[Outcome]int64{}})
		}
		c.Spans[len(c.Spans)-1].Outcomes[Removed]++
	}
	return c
}

// TestPace: from a fifth of a steady run on, the time left is told to within 15 %,
// whether outcomes come one by one or in lumps, and though they began late.
func TestPace(t *testing.T) {
	for name, run := range map[string]struct {
		rows  int
		rate  float64       // rows a second
		lump  time.Duration // outcomes are all found out at multiples of it
		begin time.Duration
	}{
		"short":        {200, 20, 0, 0},
		"deletes":      {3000, 100, 0, 200 * time.Millisecond},
		"slow":         {600, 2, 0, 0},
		"very slow":    {3000, 0.25, 0, 0},
		"large":        {100_000, 800, 0, 0},
		"invites":      {6000, 100, 0, 5 * time.Second},
		"lumps":        {6000, 50, 5 * time.Second, 0},
		"lumps, late":  {6000, 50, 5 * time.Second, 9 * time.Second},
		"larger lumps": {20_000, 20, 30 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			at := make([]time.Duration, run.rows)
			for i := range at {
				at[i] = run.begin + time.Duration(float64(i+1)/run.rate*float64(time.Second))
				if run.lump > 0 {
					at[i] = (at[i] + run.lump - 1) / run.lump * run.lump
				}
			}
			end := at[len(at)-1]
			for tenth := 2.0; tenth < 9.9; tenth += 0.1 {
				age := time.Duration(tenth / 10 * float64(end))
				done := 0
				for done < len(at) && at[done] <= age {
					done++
				}
				p := PaceOf(course(age, at), int64(run.rows-done))
				// Of the last seconds nobody knows the time to the next lump.
				off := (p.Left - (end - age)).Seconds() / max(end-age, 4*time.Second, 3*run.lump).Seconds()
				if !p.Known || off > 0.15 || off < -0.15 {
					t.Errorf("at %.1f tenths of %s: %s left (known: %v), and it is %s", tenth, end, p.Left, p.Known, end-age)
				}
				if run.lump == 0 && (p.Rate < 0.8*run.rate || p.Rate > 1.2*run.rate) {
					t.Errorf("at %.1f tenths: %.1f rows a second, and it is %.1f", tenth, p.Rate, run.rate)
				}
			}
		})
	}
	if p := PaceOf(course(time.Minute, []time.Duration{time.Second}), 10); p.Known {
		t.Errorf("after one outcome: %+v", p)
	}
	// The last rows are those who do not answer: nothing is known of them.
	late := course(100*time.Second, func() (at []time.Duration) {
		for i := range 1000 {
			at = append(at, time.Duration(i)*40*time.Millisecond)
		}
		return at
	}())
	if p := PaceOf(late, 14); p.Known || p.Quiet < 59*time.Second {
		t.Errorf("a minute after the last but 14: %+v", p)
	}
	// It has stopped: less and less is to be expected.
	at := []time.Duration{}
	for i := range 100 {
		at = append(at, time.Duration(i)*100*time.Millisecond)
	}
	if p := PaceOf(course(15*time.Second, at), 100); p.Rate > 7 {
		t.Errorf("5 s after the last outcome: %+v", p)
	}
}
