package console

import (
	"net/http"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/tasks"
)

const (
	shownBatches = 50
	mostBatches  = 1000
)

// homePage is the batches, and the fleet in a line.
type homePage struct {
	Batches []summary
	More    bool
	Fleet   fleetLine
}

// summary is a batch in a list.
type summary struct {
	ledger.Status
	Counts counts
}

func (c *Console) home(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := bounded(r)
	defer cancel()
	n := int64(shownBatches)
	if r.URL.Query().Has("all") {
		n = mostBatches
	}
	list, err := c.ledger.List(ctx, n+1)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	f, err := c.queue.Fleet(ctx)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	p := homePage{More: int64(len(list)) > n, Fleet: lineOf(f)}
	for _, st := range list[:min(int64(len(list)), n)] {
		p.Batches = append(p.Batches, summary{st, countsOf(st)})
	}
	c.render(w, r, "home", frame{Title: "Batches", Refresh: 10, Page: p})
}

// fleetLine is the fleet in a few words.
type fleetLine struct {
	Workers, Busy, Hands int
	Rate                 float64       // requests a second that are allowed at most, of the slowest scope at work
	Pause                time.Duration // the longest
}

func lineOf(f tasks.Fleet) fleetLine {
	l := fleetLine{Workers: len(f.Workers)}
	for _, m := range f.Workers {
		l.Busy += m.Busy
		l.Hands += m.Concurrency
	}
	for _, s := range f.Active() {
		l.Pause = max(l.Pause, s.Pause)
		if l.Rate == 0 || s.Rate < l.Rate {
			l.Rate = s.Rate
		}
	}
	return l
}
