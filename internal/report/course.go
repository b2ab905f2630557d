package report

import (
	"fmt"
	"time"

	"rollcall/internal/chart"
	"rollcall/internal/ledger"
	"rollcall/internal/words"
)

// CourseChart is how a batch's rows got their outcomes over time.
func CourseChart(st ledger.Status, c ledger.Course) chart.Chart {
	groups := [...]struct {
		group       ledger.Group
		name, class string
	}{
		{ledger.GroupFailed, "failed", "c-failed"}, // the lowest, so that few are to be seen too
		{ledger.GroupSkipped, "skipped", "c-skipped"},
		{ledger.GroupDone, "done", "c-done"},
	}
	x := []time.Duration{0}
	y := [len(groups)][]float64{{0}, {0}, {0}}
	point := func(at time.Duration) {
		x = append(x, at)
		for i := range y {
			y[i] = append(y[i], y[i][len(y[i])-1])
		}
	}
	for _, s := range c.Spans {
		if s.From > x[len(x)-1] {
			point(s.From)
		}
		point(min(s.To, max(c.Age, s.From)))
		for o, n := range s.Outcomes {
			for i, g := range groups {
				if o.Group() == g.group {
					y[i][len(x)-1] += float64(n)
				}
			}
		}
	}
	if st.Pending > 0 && c.Age > x[len(x)-1] {
		point(c.Age)
	}
	out := chart.Chart{ID: "course", X: x, Label: words.Duration, High: float64(st.Rows), Title: "Rows with an outcome, over the time since the batch was created"}
	out.Description = fmt.Sprintf("After %s: %s done, %s skipped, %s failed, %s pending, of %s rows.",
		words.Duration(x[len(x)-1]), words.Count(st.Count(ledger.GroupDone)), words.Count(st.Count(ledger.GroupSkipped)),
		words.Count(st.Failed()), words.Count(st.Pending), words.Count(st.Rows))
	for i, g := range groups {
		out.Series = append(out.Series, chart.Series{Name: g.name, Class: g.class, Y: y[i]})
	}
	return out
}
