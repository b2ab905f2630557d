package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/report"
	"rollcall/internal/words"
)

// functions are what the pages call.
var functions = template.FuncMap{
	"count":    words.Count,
	"duration": words.Duration,
	"prose":    report.Prose,
	"bar":      bar,
	"graph":    graphSaid,
	"answer":   report.Answer,
	"rate":     words.Rate,
	"per": func(part, whole int64) string {
		return fmt.Sprintf("%.0f %%", 100*float64(part)/float64(max(whole, 1)))
	},
	"iso":   func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" },
	"since": func(t time.Time) string { return words.Duration(time.Since(t)) },
	"add":   func(a, b int64) int64 { return a + b },
	// A group is marked by more than its colour.
	"mark": func(group string) string {
		return map[string]string{"done": "✓", "skipped": "–", "failed": "✗", "pending": "…"}[group]
	},
}

// graphSaid is what a row's last answer of Graph is known by.
func graphSaid(r ledger.Row) string {
	if r.Status == 0 && r.Code == "" && r.RequestID == "" {
		return "" // nothing was asked, or nobody answered: the detail says which
	}
	text := report.Answer(r.Status, r.Code)
	if r.RequestID != "" {
		text += ", request-id " + r.RequestID
	}
	return text
}

// bar draws how much of a batch is done, skipped and failed.
func bar(c counts) template.HTML {
	var b strings.Builder
	label := fmt.Sprintf("%s of %s rows have their outcome: %s done, %s skipped, %s failed",
		words.Count(c.Rows-c.Pending), words.Count(c.Rows), words.Count(c.Done), words.Count(c.Skipped), words.Count(c.Failed))
	fmt.Fprintf(&b, `<svg class="bar" viewBox="0 0 1000 16" preserveAspectRatio="none" role="img" aria-label="%s"><rect class="b-pending" width="1000" height="16"/>`, label)
	at := 0.0
	for _, part := range []struct {
		n     int64
		class string
	}{{c.Failed, "c-failed"}, {c.Skipped, "c-skipped"}, {c.Done, "c-done"}} {
		if part.n <= 0 {
			continue
		}
		// What failed must be seen however little it is.
		w := max(1000*float64(part.n)/float64(max(c.Rows, 1)), 4)
		fmt.Fprintf(&b, `<rect class="%s" x="%.1f" y="-2" width="%.1f" height="20"/>`, part.class, at, min(w, 1000-at))
		at = min(at+w, 1000)
	}
	b.WriteString(`</svg>`)
	return template.HTML(b.String()) //nolint:gosec // numbers and words of this file
}
