package main

import (
	"time"

	"rollcall/bench/internal/measure"
)

// result is what a trial came to. Shares are of 1, times are seconds.
type result struct {
	Scenario string    `json:"scenario"`
	Subject  string    `json:"subject"`
	Begun    time.Time `json:"begun"`
	Length   float64   `json:"length_s"`

	// Goodput is the share of what the limit allowed that was used, after the
	// warm-up; with moves, until the first of them.
	Goodput     float64 `json:"goodput"`
	Requests    int     `json:"requests"`
	Refused     int     `json:"refused"` // 429
	Late60      int     `json:"sent_60ms_into_retry_after"`
	Late5       int     `json:"sent_5ms_into_retry_after"`
	WorstSecond int     `json:"worst_second"`

	Moves   []move       `json:"moves,omitempty"`
	Tenants *tenantShare `json:"tenants,omitempty"`
	Changes *changes     `json:"changes,omitempty"`

	// CPU is the processor time of the subject's processes, Others that of all
	// that has no part in the trial and should be next to nothing.
	CPU    float64 `json:"cpu_s"`
	Others float64 `json:"others_cpu_s"`
}

// move is a change of the limit.
type move struct {
	Rate    float64  `json:"rate"`
	Goodput float64  `json:"goodput"`   // from 15 s after it on
	Reached *float64 `json:"reached_s"` // 90 % of it were used from then on; nil: never
}

// tenantShare is the goodput of the tenants.
type tenantShare struct {
	Hard  float64 `json:"hard"`  // the one that is throttled hard
	Free  float64 `json:"free"`  // the other
	Alone float64 `json:"alone"` // the other without the first
}

// changes are about mixed work.
type changes struct {
	Rate   float64 `json:"rate"`   // people invited and removed a second
	Writes float64 `json:"writes"` // goodput
	Reads  float64 `json:"reads"`
}

// enough is the share of a limit that counts as reached.
const enough = 0.9

// sum makes the figures of a trial.
func (t *trial) sum() result {
	r := result{
		Scenario: t.sc.name, Subject: t.sub.name, Begun: t.begun, Length: t.length.Seconds(),
		Requests: len(t.log), Refused: t.log.Refused(), WorstSecond: t.log.WorstSecond(),
		Late60: t.log.Late(60 * time.Millisecond), Late5: t.log.Late(5 * time.Millisecond),
		CPU: t.cpu.Seconds(), Others: t.others.Seconds(),
	}
	switch {
	case len(t.sc.tenants) > 0:
		r.Goodput = t.tenant(1)
		r.Tenants = &tenantShare{Hard: t.tenant(0), Free: t.tenant(1)}
	case t.sc.mixed:
		r.Changes = t.changes()
		r.Goodput = t.limit.Goodput(t.log, warmUp, t.length)
	case t.sc.steps[0].limit.Window > 0:
		l := t.sc.steps[0].limit
		w := measure.NewWindow(l.Window, time.Duration(l.Per), t.begun)
		r.Goodput = w.Goodput(t.log, warmUp, t.length)
	default:
		r.Goodput = t.limit.Goodput(t.log, warmUp, t.limit.End(0, t.length))
		r.Moves = t.moves()
	}
	return r
}

// tenant is the goodput of the nth tenant.
func (t *trial) tenant(n int) float64 {
	tenant := t.sc.tenants[n]
	limit := measure.Limit{{Rate: tenant.limit.Rate}}
	return limit.Goodput(t.log.Of(tenant.name), warmUp, t.length)
}

func (t *trial) moves() []move {
	var list []move
	for i := 1; i < len(t.limit); i++ {
		s := t.limit[i]
		m := move{Rate: s.Rate, Goodput: t.limit.Goodput(t.log, s.From+settled, t.limit.End(i, t.length))}
		if after, ok := t.limit.Reach(t.log, i, enough, t.length); ok {
			m.Reached = new(after.Seconds())
		}
		list = append(list, m)
	}
	return list
}

func (t *trial) changes() *changes {
	writes, reads := t.log.Split()
	l := t.sc.steps[0].limit
	if l.Reads == nil { // one limit for both
		l.Reads = &l
	}
	return &changes{
		Rate:   float64(t.log.Between(warmUp, t.length).Changes()) / (t.length - warmUp).Seconds(),
		Writes: measure.Limit{{Rate: l.Rate}}.Goodput(writes, warmUp, t.length),
		Reads:  measure.Limit{{Rate: l.Reads.Rate}}.Goodput(reads, warmUp, t.length),
	}
}
