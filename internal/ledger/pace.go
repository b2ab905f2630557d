package ledger

import "time"

// Pace is how fast a batch goes.
type Pace struct {
	Rate  float64       // rows a second of late
	Left  time.Duration // until it is finished, if it goes on like that
	Known bool          // whether enough has happened to tell the time left
	Quiet time.Duration // for how long nothing has come, if that is longer than usual
}

const (
	// paceNow and paceAll are how far Rate and Left look back at most, and paceShare
	// how much of the batch's time Left looks at: what a batch did at first, when the
	// limit was not found yet, says little of its end.
	paceNow   = 10 * time.Second
	paceAll   = 2 * time.Minute
	paceShare = 2. / 3
	paceSpans = 5
	// paceQuiet is how long nothing may happen until a batch counts as slower, and
	// paceGaps how many times the usual time between outcomes.
	paceQuiet = 3 * time.Second
	paceGaps  = 3
)

// PaceOf tells how fast a batch goes, of which rows are pending.
func PaceOf(c Course, pending int64) Pace {
	var p Pace
	// Of long spans it takes a few to tell anything.
	least := time.Duration(0)
	if n := len(c.Spans); n > 0 {
		least = paceSpans * (c.Spans[n-1].To - c.Spans[n-1].From)
	}
	p.Rate, _ = c.rate(min(max(paceNow, least), c.Age/2))
	rate, end := c.rate(min(max(paceAll, least), time.Duration(paceShare*float64(c.Age))))
	if p.Quiet = c.quiet(); rate > 0 && p.Quiet == 0 {
		p.Known = true
		left := float64(pending)/rate*float64(time.Second) - float64(c.Age-end)
		p.Left = max(time.Duration(min(left, float64(maxLeft))), 0)
	}
	return p
}

// maxLeft is what fits into a time.
const maxLeft = 10_000 * time.Hour

// rate is how many rows a second came in the last part of the course, up to end.
// Outcomes come in lumps, as rosters are read every few seconds: it is reckoned from
// the end of a lump to that of the last one, and up to now if that has been long ago.
func (c Course) rate(last time.Duration) (rate float64, end time.Duration) {
	var some []Span
	for _, s := range c.Spans {
		if s.To > c.Age-last && s.came() > 0 {
			some = append(some, s)
		}
	}
	if len(some) < 2 {
		return 0, c.Age
	}
	begin, end := some[0].To, min(some[len(some)-1].To, c.Age)
	if c.Age-end > max(paceQuiet, paceGaps*(end-begin)/time.Duration(len(some)-1)) {
		end = c.Age
	}
	if end <= begin {
		return 0, c.Age
	}
	n := int64(0)
	for _, s := range some[1:] {
		n += s.came()
	}
	return float64(n) / (end - begin).Seconds(), end
}

// quiet is for how long nothing has come, if that is much longer than it usually
// was between outcomes: the last rows are waited for, and nobody knows for how long.
func (c Course) quiet() time.Duration {
	var last, before time.Duration
	longest := paceQuiet
	for _, s := range c.Spans {
		if s.came() == 0 {
			continue
		}
		if before > 0 {
			longest = max(longest, s.To-before)
		}
		before, last = s.To, min(s.To, c.Age)
	}
	if since := c.Age - last; before > 0 && since > paceGaps*longest/2 {
		return since
	}
	return 0
}
