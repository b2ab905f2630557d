package ratelimit

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// lead is how long before its time a slot is handed to its caller, who has
	// something to write first.
	lead = 25 * time.Millisecond
	// life is how long after its time a slot can be used at least, and slowLife
	// where there are few: for a tenth of the time to the next. Later, the fleet's
	// next ones are under way, and a burst would come of it.
	life     = 50 * time.Millisecond
	slowLife = 0.1
	// nearlyOver is a pause that is waited out in any case: by another clock, or if
	// Redis' answer to it had not been held up, it is over already.
	nearlyOver = 30 * time.Millisecond
)

// Slot is the right to send one request at a time.
type Slot struct {
	line  *line
	at    time.Time
	taken atomic.Bool
}

// Take takes the slot for a request, which must [Slot.Wait] for it. It reports
// false if that has been done already.
func (s *Slot) Take() bool { return s.taken.CompareAndSwap(false, true) }

// Taken tells whether the slot was taken, or released.
func (s *Slot) Taken() bool { return s.taken.Load() }

// Release gives back a slot that was not taken.
func (s *Slot) Release() {
	if s.Take() {
		s.line.give(s.at)
	}
}

// Wait returns when the request may be sent. A slot whose time is long over is
// changed for the next one. Its error is a *PausedError if the scope was paused
// meanwhile, or a *CrowdedError if there is no other slot.
func (s *Slot) Wait(ctx context.Context) error {
	for {
		// The question takes its time, too.
		away := s.line.distance()
		if err := sleep(ctx, time.Until(s.at.Add(-away))); err != nil {
			return err
		}
		left, err := s.line.paused(ctx)
		if err != nil {
			return err
		}
		if left > nearlyOver {
			return &PausedError{Left: left}
		}
		if err := sleep(ctx, max(left, time.Until(s.at))); err != nil {
			return err
		}
		// This process may have been refused meanwhile.
		if left := s.line.left(); left > nearlyOver {
			return &PausedError{Left: left}
		} else if err := sleep(ctx, left); err != nil {
			return err
		}
		// A question is asked after another, at worst.
		if time.Since(s.at) <= s.line.life()+2*away {
			s.line.used()
			return nil
		}
		next, err := s.line.take(ctx, front, 0)
		if err != nil {
			return err
		}
		s.at = next.at
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
