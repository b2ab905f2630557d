package console

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"slices"
	"time"

	"rollcall/internal/chart"
	"rollcall/internal/ratelimit"
	"rollcall/internal/tasks"
	"rollcall/internal/words"
)

// fleetPage is the workers and what Graph allows them.
type fleetPage struct {
	Line    fleetLine
	Workers []member
	Scopes  []scope
}

type member struct {
	tasks.Member
	Name string // a number where the visitor is not to know more
}

type scope struct {
	ratelimit.State
	Name  string
	Chart template.HTML
}

// shownScopes is how many scopes have their plot on the page.
const shownScopes = 10

func (c *Console) fleet(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := bounded(r)
	defer cancel()
	f, err := c.queue.Fleet(ctx)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	signed := c.signed(r)
	p := fleetPage{Line: lineOf(f)}
	slices.SortFunc(f.Workers, func(a, b tasks.Member) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.PID, b.PID))
	})
	for i, m := range f.Workers {
		name := fmt.Sprint("worker ", i+1)
		if signed {
			name = fmt.Sprintf("%s, process %d", cmp.Or(m.Host, "unknown host"), m.PID)
		}
		p.Workers = append(p.Workers, member{m, name})
	}
	for i, s := range f.Scopes[:min(len(f.Scopes), shownScopes)] {
		samples, err := c.queue.History(ctx, s.Scope)
		if err != nil {
			c.failed(w, r, err)
			return
		}
		one := scope{State: s, Name: fmt.Sprint("Application and tenant ", i+1)}
		if signed {
			one.Name = s.Scope
		}
		one.Chart = rateChart(fmt.Sprint("scope", i), s, samples).SVG()
		p.Scopes = append(p.Scopes, one)
	}
	c.render(w, r, "fleet", frame{Title: "Fleet", Refresh: 10, Page: p})
}

// rateChart is what a scope's fleet sent, and was allowed to, up to now.
func rateChart(id string, s ratelimit.State, samples []ratelimit.Sample) chart.Chart {
	now := s.Seen.Add(s.Age)
	out := chart.Chart{ID: id, Title: "Requests a second to Graph, over the last hour"}
	if len(samples) == 0 {
		return out
	}
	first := samples[0].At
	n := int(now.Sub(first)/ratelimit.HistorySpan) + 1
	if n < 1 || n > 2000 { // clocks that differ by hours
		return out
	}
	x := make([]time.Duration, n)
	sent, allowed, pause := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range x {
		x[i], allowed[i] = time.Duration(i)*ratelimit.HistorySpan, math.NaN()
	}
	total, pauses := int64(0), int64(0)
	for _, m := range samples {
		i := int(m.At.Sub(first) / ratelimit.HistorySpan)
		if i < 0 || i >= n {
			continue
		}
		sent[i], allowed[i] = float64(m.Sent)/ratelimit.HistorySpan.Seconds(), m.Rate
		if m.Paused || m.Pauses > 0 {
			pause[i] = 1
		}
		total += m.Sent
		pauses += m.Pauses
	}
	out.X = x
	end := x[n-1]
	out.Label = func(t time.Duration) string {
		if t >= end {
			return "now"
		}
		return words.Duration(end-t) + " ago"
	}
	out.Description = fmt.Sprintf("%s requests, %s pauses that Graph asked for; allowed at present: %s a second.", words.Count(total), words.Count(pauses), words.Rate(s.Rate))
	out.Series = []chart.Series{
		{Name: "paused", Class: "c-pause", Kind: chart.Band, Y: pause},
		{Name: "sent", Class: "c-sent", Kind: chart.Area, Y: sent},
		{Name: "allowed", Class: "c-rate", Kind: chart.Step, Y: allowed},
	}
	return out
}
