package ratelimit

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Where in a line a caller waits.
const (
	front = iota // something has begun already
	back
)

// crowd is for how many seconds' worth of the fleet's rate callers may wait in
// one process, at the front and at the back of its line: more would only keep
// the process from other scopes' work.
var crowd = [2]float64{front: 1, back: 0.5}

// fewest is how many may wait in any case.
var fewest = [2]int{front: 4, back: 2}

// brief is for how many seconds' worth of the rate callers may wait however many
// they are: nobody else's work is kept for longer than coming back would take.
var brief = [2]float64{front: 0.2, back: 0.1}

const (
	// moment is the time between leases below which more are leased than are asked
	// for.
	moment = 10 * time.Millisecond
	// sure is how old the word can be that there is no pause: far below what a
	// request is on its way, so that not each needs an answer of its own.
	sure = time.Millisecond
)

// longestAway is for how long a caller is sent away at most: the rate may rise
// meanwhile.
const longestAway = 30 * time.Second

// line is where a process' callers of one scope wait for slots.
type line struct {
	store   *store
	ceiling float64
	most    int // callers that may wait

	mu      sync.Mutex
	waiting [2][]*caller
	slots   []time.Time // leased, and not handed out yet
	serving bool
	wake    chan struct{} // there is something new for whoever serves
	rate    float64
	until   time.Time // of the pause this process has heard of
	away    time.Time // when the last of the callers sent away is due
	rtt     time.Duration
	answer  float64 // seconds that answers take, on average of late
	stats   Stats
	told    noted // of it, by Note alone

	asking  bool
	asked   *question
	clear   time.Time // when Redis was last asked and knew of no pause
	leased  time.Time // when slots were last leased
	handed  int       // slots handed out since
	telling bool      // Redis is being told of a pause it did not take
}

type caller struct {
	longest time.Duration
	since   time.Time
	got     chan turn // has room for one
}

// turn is what a caller gets.
type turn struct {
	at  time.Time
	err error
}

func newLine(s *store, ceiling float64, most int) *line {
	return &line{store: s, ceiling: ceiling, most: most, wake: make(chan struct{}, 1)}
}

// take waits for a slot and returns it shortly before its time.
func (l *line) take(ctx context.Context, where int, longest time.Duration) (*Slot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c := &caller{longest: longest, since: time.Now(), got: make(chan turn, 1)}
	l.mu.Lock()
	if left := time.Until(l.until); left > max(longest, nearlyOver) {
		l.mu.Unlock()
		return nil, &PausedError{Left: left}
	}
	if n := len(l.waiting[where]); l.rate > 0 && n >= max(fewest[where], min(int(crowd[where]*l.rate), l.most), int(brief[where]*l.rate)) {
		defer l.mu.Unlock()
		if where == front { // its claims and what it has read would be lost
			return nil, &CrowdedError{After: time.Duration(float64(n) / l.rate * float64(time.Second))}
		}
		return nil, &CrowdedError{After: l.sendAway(n)}
	}
	if l.callers() == 0 {
		if at, ok := l.spare(c.since); ok {
			l.mu.Unlock()
			return &Slot{line: l, at: at}, nil
		}
	}
	l.waiting[where] = append(l.waiting[where], c)
	if !l.serving {
		l.serving = true
		go l.serve()
	}
	l.mu.Unlock()

	select {
	case t := <-c.got:
		if t.err != nil {
			return nil, t.err
		}
		l.mu.Lock()
		l.stats.Waited += time.Since(c.since)
		l.mu.Unlock()
		return &Slot{line: l, at: t.at}, nil
	case <-ctx.Done():
		l.leave(where, c)
		return nil, ctx.Err()
	}
}

// sendAway gives the time after which a caller is worth coming back: behind the n
// who wait, and each as much later than the one before as the rate says, so that
// those sent away do not all come at once, and again in vain.
func (l *line) sendAway(n int) time.Duration {
	step := time.Duration(float64(time.Second) / l.rate)
	now := time.Now()
	l.away = l.away.Add(step)
	if first := now.Add(time.Duration(n) * step); l.away.Before(first) {
		l.away = first
	}
	if last := now.Add(longestAway); l.away.After(last) {
		l.away = last
	}
	return l.away.Sub(now)
}

// leave takes a caller out of the line, who may have got a slot meanwhile.
func (l *line) leave(where int, c *caller) {
	l.mu.Lock()
	l.waiting[where] = slices.DeleteFunc(l.waiting[where], func(x *caller) bool { return x == c })
	l.mu.Unlock()
	select {
	case t := <-c.got:
		if t.err == nil {
			l.give(t.at)
		}
	default:
	}
}

// give puts a slot back for whoever comes next.
func (l *line) give(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file(at)
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// distance is how long Redis takes to answer.
func (l *line) distance() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rtt
}

// left is how long the scope is paused, as this process knows it.
func (l *line) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.until)
}

// life is how long after its time a slot can be used.
func (l *line) life() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keeps()
}

// keeps is life for whoever holds the lock.
func (l *line) keeps() time.Duration {
	if l.rate <= 0 {
		return life
	}
	return max(life, time.Duration(slowLife/l.rate*float64(time.Second)))
}

// answered notes how long an answer took.
func (l *line) answered(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.answer == 0 {
		l.answer = took.Seconds()
	}
	l.answer += (took.Seconds() - l.answer) / 16
}

func (l *line) used() {
	l.mu.Lock()
	l.stats.Slots++
	l.mu.Unlock()
}

// serve leases slots and hands them out while anybody waits. What is written to
// Redis outlives each single caller, and so has no caller's context.
func (l *line) serve() {
	for {
		wait, more := l.step()
		if !more {
			return
		}
		if wait <= 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-l.wake:
			timer.Stop()
		}
	}
}

// step does what is to be done now, and says until when there is nothing more.
func (l *line) step() (wait time.Duration, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.hand(now)
	want := l.want(now)
	switch n := len(l.slots); {
	case l.callers() == 0:
		l.serving = false
		return 0, false
	case l.until.Sub(now) > horizon:
		// Perhaps only this process knows, if Redis could not be told.
		return l.await(l.until.Sub(now)), true
	case n > 0 && (want <= 0 || l.slots[n-1].Sub(now) > horizon/2):
		return l.slots[0].Sub(now) - lead, true
	}
	answer := l.answer
	l.leased, l.handed = now, 0
	l.mu.Unlock()
	got, err := l.store.lease(context.Background(), want, l.ceiling, answer)
	l.mu.Lock()
	if err == nil && got.pause <= 0 {
		l.clear = now
	}
	l.rate, l.rtt = l.store.rate(l.ceiling), l.store.rtt
	switch {
	case err != nil:
		l.dismiss(func(*caller) error { return err })
		return 0, true
	case got.count == 0 && got.pause > horizon:
		l.pause(time.Now().Add(got.pause))
		return l.await(got.pause), true
	case got.count == 0:
		// Not for each slot anew: several can be leased at once a little later,
		// and still ahead of their time.
		wait := time.Until(got.first) + horizon/4 + rand.N(horizon/4)
		if len(l.slots) > 0 {
			wait = min(wait, time.Until(l.slots[0])-lead)
		}
		return wait, true
	}
	for i := range got.count {
		l.file(got.first.Add(time.Duration(i) * got.step))
	}
	return 0, true
}

// want is how many more slots to lease: one for each caller, and if the last lease
// was a moment ago as many more as went since, which will be asked for while this
// one is on its way.
func (l *line) want(now time.Time) int {
	want := l.callers() - len(l.slots)
	if want > 0 && now.Sub(l.leased) < moment {
		want += min(l.handed, int(l.rate*moment.Seconds()))
	}
	return want
}

func (l *line) callers() int { return len(l.waiting[front]) + len(l.waiting[back]) }

// hand gives callers the slots that are due.
func (l *line) hand(now time.Time) {
	for l.callers() > 0 {
		at, ok := l.spare(now)
		if !ok {
			return
		}
		l.pop().got <- turn{at: at}
	}
}

// spare takes the next slot that is due, and drops those that are over.
func (l *line) spare(now time.Time) (at time.Time, ok bool) {
	for len(l.slots) > 0 && l.slots[0].Sub(now) <= lead {
		at, l.slots = l.slots[0], l.slots[1:]
		if at.Sub(now) >= -l.keeps() {
			l.handed++
			return at, true
		}
	}
	return time.Time{}, false
}

// await sends those away who do not wait for as long a pause, and gives the time
// until the others' slots can be leased.
func (l *line) await(left time.Duration) time.Duration {
	l.dismiss(func(c *caller) error {
		if left > max(c.longest, nearlyOver) {
			return &PausedError{Left: left}
		}
		return nil
	})
	if l.callers() == 0 {
		return 0
	}
	return left - horizon/2
}

// file keeps a slot for whoever comes next.
func (l *line) file(at time.Time) {
	i, _ := slices.BinarySearchFunc(l.slots, at, time.Time.Compare)
	l.slots = slices.Insert(l.slots, i, at)
}

// pop takes the first caller out of the line.
func (l *line) pop() *caller {
	for where, w := range l.waiting {
		if len(w) > 0 {
			l.waiting[where] = w[1:]
			return w[0]
		}
	}
	return nil
}

// dismiss sends those callers away for whom there is an error.
func (l *line) dismiss(why func(*caller) error) {
	for where, w := range l.waiting {
		l.waiting[where] = slices.DeleteFunc(w, func(c *caller) bool {
			err := why(c)
			if err != nil {
				c.got <- turn{err: err}
			}
			return err != nil
		})
	}
}

// pause notes one that this process has heard of. Slots leased before it are
// void: all of them would otherwise be used together at its end.
func (l *line) pause(until time.Time) {
	if until.After(l.until) {
		l.until = until
	}
	l.slots = nil
}

// refused notes a refusal, first in this process, then for all.
func (l *line) refused(ctx context.Context, ago, wait time.Duration) (left time.Duration, first bool, err error) {
	here := wait
	if here < 0 {
		here = time.Second
	}
	l.mu.Lock()
	l.pause(time.Now().Add(here))
	l.mu.Unlock()
	left, first, err = l.tell(ctx, ago, wait)
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.telling {
			l.telling = true
			go l.tellOn(ctx, time.Now().Add(-ago))
		}
	}
	return left, first, err
}

func (l *line) tell(ctx context.Context, ago, wait time.Duration) (left time.Duration, first bool, err error) {
	left, first, err = l.store.refused(ctx, ago, wait, l.ceiling)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pause(time.Now().Add(left))
	if first {
		l.stats.Pauses++
	}
	return left, first, err
}

// tellOn tells the others of a pause that Redis did not take, until it does or the
// pause is over: when Redis is back, they would send into it.
func (l *line) tellOn(ctx context.Context, sent time.Time) {
	var told time.Time
	for {
		l.mu.Lock()
		// Another refusal may have made it longer meanwhile.
		until := l.until
		l.telling = time.Now().Before(until) && until.Sub(told) > 2*jitter && ctx.Err() == nil
		on := l.telling
		l.mu.Unlock()
		if !on {
			return
		}
		if left, _, err := l.tell(ctx, time.Since(sent), max(time.Until(until), 0)); err == nil {
			told = time.Now().Add(left)
		} else {
			_ = sleep(ctx, tellEvery)
		}
	}
}

// tellEvery is how often that is tried.
const tellEvery = 20 * time.Millisecond

// question is what several callers ask Redis at once: how long the pause is.
type question struct {
	done chan struct{}
	left time.Duration
	err  error
}

// paused tells how long the scope is paused, as Redis knows it after the call.
func (l *line) paused(ctx context.Context) (time.Duration, error) {
	l.mu.Lock()
	now := time.Now()
	if left := l.until.Sub(now); left > 0 || now.Sub(l.clear) < sure {
		l.mu.Unlock()
		return max(left, 0), nil
	}
	q := l.asked
	if q == nil {
		q = &question{done: make(chan struct{})}
		l.asked = q
	}
	if !l.asking {
		l.asking = true
		go l.ask() //nolint:gosec // it asks for several callers, whoever of them goes away
	}
	l.mu.Unlock()
	select {
	case <-q.done:
		return q.left, q.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// ask asks Redis once for all who began to wait before it does.
func (l *line) ask() {
	for {
		l.mu.Lock()
		q := l.asked
		l.asked = nil
		if q == nil {
			l.asking = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		now := time.Now()
		q.left, q.err = l.store.paused(context.Background())
		l.mu.Lock()
		if q.left > 0 {
			l.pause(time.Now().Add(q.left))
		} else if q.err == nil {
			l.clear = now
		}
		l.mu.Unlock()
		close(q.done)
	}
}
