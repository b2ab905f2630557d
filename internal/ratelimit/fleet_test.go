package ratelimit

import (
	"container/heap"
	"math"
	"math/rand/v2"
)

// fleet is one as the scripts keep it, line by line, with time to come as fast as
// it can be reckoned.
type fleet struct {
	limit    graphLimit
	seconds  float64
	from     float64                            // when it begins to count what is accepted
	latency  float64                            // of Graph's answers
	retry    func(wait float64) (float64, bool) // what Graph says of a wait, and whether it does
	demand   func(at float64) bool              // whether there is work
	inflight int                                // requests at once at most; 0: endless
	seed     uint64
}

// sent counts requests.
type sent struct {
	accepted     float64 // from the time on that counts
	all, refused float64
}

type reply struct{ at, sent, wait float64 }

type replies []reply

func (r replies) Len() int           { return len(r) }
func (r replies) Less(i, j int) bool { return r[i].at < r[j].at }
func (r replies) Swap(i, j int)      { r[i], r[j] = r[j], r[i] }
func (r *replies) Push(x any)        { *r = append(*r, x.(reply)) }
func (r *replies) Pop() any {
	last := (*r)[len(*r)-1]
	*r = (*r)[:len(*r)-1]
	return last
}

// run lets the fleet work and gives what came of it.
func (w fleet) run() sent {
	rng := rand.New(rand.NewPCG(w.seed, 7))
	var res sent
	s := begin(0)
	inf := math.Inf(1)
	var out replies  // refusals
	var busy replies // when requests end
	now := 1000.0
	t0 := now
	// hash
	next, pause, since := 0.0, 0.0, 0.0
	strikes, debt := 0.0, 0.0
	used, from, start, idle, gain := 0.0, 0.0, -1.0, 0.0, 0.0
	n := 0.0
	handle := func(r reply) {
		at := r.at
		wait, known := w.retry(r.wait)
		if !known || wait <= 0 {
			wait = -1
		} else {
			wait = min(wait, 3600)
		}
		jit := 0.03 * rng.Float64()
		if r.sent < pause {
			if wait >= 0 {
				pause = max(pause, at+wait+jit)
				gain = pause - since
			}
			return
		}
		if pause > 0 && r.sent-pause < atOnce {
			strikes++
		} else {
			strikes = 0
		}
		if wait < 0 {
			wait = min(math.Exp2(strikes), 60)
		} else if strikes > 0 {
			wait = max(wait, min(0.25*math.Exp2(strikes), 4))
		}
		since, debt = at, 0
		pause = at + wait + jit
		st := start
		if st < 0 {
			st = r.sent
		}
		b := max(from, used-(used-from)*max(0, next-r.sent)/max(next-st, 1e-6))
		s = s.next(refusal{From: from, To: b, Seconds: max(0, r.sent-st), Sent: n, Idle: idle, Rest: gain, Pause: pause - r.sent}, inf)
		next, used, from, start, n, idle, gain = pause, 0, 0, pause, 0, 0, wait
	}
	for now < t0+w.seconds {
		for len(out) > 0 && out[0].at <= now {
			handle(heap.Pop(&out).(reply))
		}
		for len(busy) > 0 && busy[0].at <= now {
			heap.Pop(&busy)
		}
		if now < pause {
			// skip to pause end or next refusal
			to := pause
			if len(out) > 0 {
				to = min(to, out[0].at)
			}
			now = to
			continue
		}
		if !w.demand(now - t0) {
			now += 0.005
			continue
		}
		if w.inflight > 0 && len(busy) >= w.inflight {
			now = busy[0].at
			continue
		}
		if next > now+0.1 { // a slot is far: time passes
			to := next
			if len(out) > 0 && out[0].at < to {
				now = out[0].at
				continue
			}
			now = to
		}
		// lease of one
		gap := now - max(next, pause)
		free := max(next, pause, now)
		if start < 0 || gap >= 1 {
			if start >= 0 {
				debt = 1
			}
			start, from, gain = free, used, min(gap, 3600)
			idle, n = 0, 0
		} else if n == 0 {
			start = free
		} else if gap > 0 {
			idle += gap
			debt = min(debt+gap, 1)
			if now-start > 5 && idle > 0.1*(now-start) {
				start, from, n, idle = now-(now-start)/2, used-(used-from)/2, n/2, idle/2
			}
		}
		step := 1 / s.Climb.rate(used, inf)
		paid := min(debt, min(step, 1))
		debt -= paid
		used += min(step, 1) - paid
		next = free + step
		n++
		if free > now {
			now = free
		}
		at := now + 0.01*rng.Float64()
		lat := w.latency
		wait := 0.0
		if wait = w.limit.take(at - t0); wait == 0 {
			res.all++
			if now-t0 >= w.from {
				res.accepted++
			}
		}
		heap.Push(&busy, reply{at: at + lat})
		if wait > 0 {
			res.all++
			res.refused++
			heap.Push(&out, reply{at: at + lat, sent: now, wait: wait})
		}
		// other tasks may go on only when the next slot is due
		if next > now {
			to := next
			if len(out) > 0 && out[0].at < to {
				to = max(now, out[0].at)
			}
			now = to
		}
	}
	return res
}
