package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// cell is a figure under its head.
type cell struct {
	head, text string
}

// cells are the figures of a result that say something in its scenario.
func (r result) cells() []cell {
	list := []cell{{"", r.Subject}}
	switch {
	case r.Tenants != nil:
		list = append(list,
			cell{"goodput of b", percent(r.Tenants.Free)},
			cell{"b alone", percent(r.Tenants.Alone)},
			cell{"goodput of a", percent(r.Tenants.Hard)})
	case r.Changes != nil:
		list = append(list,
			cell{"changes a second", strconv.FormatFloat(r.Changes.Rate, 'f', 0, 64)},
			cell{"writes used", percent(r.Changes.Writes)},
			cell{"reads used", percent(r.Changes.Reads)})
	default:
		list = append(list, cell{"goodput", percent(r.Goodput)})
	}
	for _, m := range r.Moves {
		reached := "never"
		if m.Reached != nil {
			reached = fmt.Sprintf("%.1f s", *m.Reached)
		}
		list = append(list,
			cell{fmt.Sprintf("at %g/s", m.Rate), percent(m.Goodput)},
			cell{fmt.Sprintf("90 %% of %g/s after", m.Rate), reached})
	}
	refused := 0.0
	if r.Requests > 0 {
		refused = float64(r.Refused) / float64(r.Requests)
	}
	return append(list,
		cell{"429s", percent(refused)},
		cell{"> 60 ms into Retry-After", strconv.Itoa(r.Late60)},
		cell{"> 5 ms", strconv.Itoa(r.Late5)},
		cell{"worst second", strconv.Itoa(r.WorstSecond)},
		cell{"CPU", fmt.Sprintf("%.0f s", r.CPU)})
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// writeMarkdown writes a table for each scenario that has results.
func writeMarkdown(w io.Writer, list []scenario, results []result) error {
	var b strings.Builder
	for _, sc := range list {
		begun := false
		for _, r := range results {
			if r.Scenario != sc.name {
				continue
			}
			cells := r.cells()
			if !begun {
				fmt.Fprintf(&b, "**%s**: %s.\n\n", sc.name, sc.about)
				row(&b, cells, func(c cell) string { return c.head })
				row(&b, cells, func(cell) string { return "---" })
				begun = true
			}
			row(&b, cells, func(c cell) string { return c.text })
		}
		if begun {
			b.WriteByte('\n')
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func row(b *strings.Builder, cells []cell, text func(cell) string) {
	for _, c := range cells {
		b.WriteString("| " + text(c) + " ")
	}
	b.WriteString("|\n")
}
