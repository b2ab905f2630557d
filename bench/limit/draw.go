package main

import (
	"time"

	"rollcall/bench/internal/chart"
	"rollcall/bench/internal/measure"
)

// binWidth is the width of the plots' bins.
const binWidth = 500 * time.Millisecond

// draw plots what was accepted and refused over time, against the true limit.
func (t *trial) draw(path string) error {
	c := chart.Chart{Title: t.sub.name + ", " + t.sc.name + ": " + t.sc.about, Length: t.length}
	switch {
	case len(t.sc.tenants) > 0:
		for _, n := range t.sc.tenants {
			c.Add(n.name, t.log.Of(n.name).Bins(binWidth, t.length), measure.Limit{{Rate: n.limit.Rate}})
		}
	case t.sc.mixed && t.sc.steps[0].limit.Reads != nil:
		writes, reads := t.log.Split()
		l := t.sc.steps[0].limit
		c.Add("writes", writes.Bins(binWidth, t.length), measure.Limit{{Rate: l.Rate}})
		c.Add("reads", reads.Bins(binWidth, t.length), measure.Limit{{Rate: l.Reads.Rate}})
	default:
		c.Add("", t.log.Bins(binWidth, t.length), t.limit)
	}
	return c.Save(path)
}
