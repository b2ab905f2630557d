package tasks

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// hands are a worker's: each task needs one, and takes more while there are any.
type hands struct {
	busy atomic.Int64
	most int64
}

// take takes one more, if not all are busy.
func (h *hands) take() bool {
	if h.busy.Add(1) <= h.most {
		return true
	}
	h.busy.Add(-1)
	return false
}

// spread does n things, each of them mostly a request: the first alone, as it may
// show that the others are in vain, then as many side by side as the worker has
// hands to spare and the limit has slots. So a large batch costs no more than one
// thing after another, and a small one is done at once.
//
// The round's lock is held, here and in do, but for what is done outside.
func (r *round) spread(n int, do func(i int)) {
	if n == 0 {
		return
	}
	do(0)
	next := 1
	var more sync.WaitGroup
	var broken error // what a lane panicked with
	var lane func()
	lane = func() {
		for next < n && broken == nil {
			i := next
			next++
			if next < n && r.w.limiter.Free(r.w.scope(r.task.tenant)) && r.w.hands.take() {
				more.Go(func() {
					defer r.w.hands.busy.Add(-1)
					r.mu.Lock()
					defer r.mu.Unlock()
					defer func() {
						if p := recover(); p != nil {
							broken = fmt.Errorf("%v\n%s", p, debug.Stack())
						}
					}()
					lane()
				})
			}
			do(i)
		}
	}
	// Whatever happens here: while a lane works, the claims must not be given up.
	defer func() {
		r.outside(more.Wait)
		if broken != nil {
			panic(broken) // here, where the queue sees to it
		}
	}()
	lane()
}

// outside does something that takes long and touches nothing of the round.
func (r *round) outside(what func()) {
	r.mu.Unlock()
	defer r.mu.Lock()
	what()
}
