package measure

import "time"

// Step is a rate that holds from a time on, until the next step; 0 is no limit.
type Step struct {
	From time.Duration `json:"from"`
	Rate float64       `json:"rate"`
}

// Limit is the true limit over time: its steps in order.
type Limit []Step

// Allowed is how many requests the limit allowed between two times. What a
// bucket holds at the beginning is left out: it is what a sender did not use
// before.
func (l Limit) Allowed(from, to time.Duration) float64 {
	sum := 0.0
	for i, s := range l {
		end := to
		if i+1 < len(l) {
			end = min(to, l[i+1].From)
		}
		if begin := max(from, s.From); end > begin {
			sum += s.Rate * (end - begin).Seconds()
		}
	}
	return sum
}

// Goodput is the share that was used of what the limit allowed.
func (l Limit) Goodput(log Log, from, to time.Duration) float64 {
	allowed := l.Allowed(from, to)
	if allowed <= 0 {
		return 0
	}
	return float64(log.Between(from, to).Accepted()) / allowed
}

// Moves gives the times at which the limit changed.
func (l Limit) Moves() []Step {
	if len(l) == 0 {
		return nil
	}
	return l[1:]
}

// End is when a step ends in a measurement of a given length.
func (l Limit) End(step int, length time.Duration) time.Duration {
	if step+1 < len(l) {
		return min(length, l[step+1].From)
	}
	return length
}

// reachFor is how long the rate must hold to count as reached: long enough that
// the requests of one moment are no rate.
const reachFor = 2 * time.Second

// reachEvery is how exactly that is looked for.
const reachEvery = 50 * time.Millisecond

// Reach is how long after the beginning of a step requests began to be accepted
// at share of its rate, and were for two seconds; false if they never were.
func (l Limit) Reach(log Log, step int, share float64, length time.Duration) (time.Duration, bool) {
	s, end := l[step], l.End(step, length)
	want := share * s.Rate * reachFor.Seconds()
	for at := s.From; at+reachFor <= end; at += reachEvery {
		if float64(log.Between(at, at+reachFor).Accepted()) >= want {
			return at - s.From, true
		}
	}
	return 0, false
}

// Window is a limit of so many requests in each window of time, of which one
// begins at offset.
type Window struct {
	Count  int
	Per    time.Duration
	Offset time.Duration
}

// NewWindow makes the windows that a service cuts by the clock, seen from start.
func NewWindow(count int, per time.Duration, start time.Time) Window {
	return Window{count, per, (per - time.Duration(start.UnixNano()%int64(per))) % per}
}

// Whole gives the begin of the first whole window between two times and the end
// of the last.
func (w Window) Whole(from, to time.Duration) (first, last time.Duration) {
	first = w.Offset
	for first < from {
		first += w.Per
	}
	last = first
	for last+w.Per <= to {
		last += w.Per
	}
	return first, last
}

// Goodput is the share that was used of the whole windows between two times.
func (w Window) Goodput(log Log, from, to time.Duration) float64 {
	first, last := w.Whole(from, to)
	if last <= first {
		return 0
	}
	allowed := float64(w.Count) * float64((last-first)/w.Per)
	return float64(log.Between(first, last).Accepted()) / allowed
}
