package report

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"rollcall/internal/chart"
	"rollcall/internal/ledger"
	"rollcall/internal/words"
)

//go:embed report.html
var pageText string

//go:embed page.css
var pageStyle string

// Style is the style sheet of pages about batches, with their charts.
var Style = chart.Style + pageStyle

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"count": words.Count, "duration": words.Duration, "time": clock, "prose": Prose, "answer": Answer,
}).Parse(pageText))

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

const (
	// shownRows is how many rows of a reason the page lists, and shownReasons for how
	// many reasons: it is to be read, and to be sent by mail.
	shownRows    = 50
	shownReasons = 100
)

// failure is a reason why rows failed, and some of them.
type failure struct {
	Outcome ledger.Outcome
	Status  int
	Code    string
	Rows    int64
	Some    []line
	Advice  Advice
}

// line is a row as the page shows it.
type line struct {
	N                              int64
	Source, Action, Call, What, ID string // ID is Graph's request-id
	Who                            Who
}

// HTML writes a page for people about a batch, in one file: how it went, and the
// failed rows by what they failed of, with what to do. It needs nothing else to be
// shown, and has personal data in it, as the rows do.
func HTML(ctx context.Context, w io.Writer, l *ledger.Ledger, b ledger.Batch) error {
	st, err := l.Status(ctx, b.ID)
	if err != nil {
		return err
	}
	course, err := l.Course(ctx, b)
	if err != nil {
		return err
	}
	failures, err := failuresOf(ctx, l, b)
	if err != nil {
		return err
	}
	more := max(len(failures)-shownReasons, 0)
	failures = failures[:len(failures)-more]
	return page.Execute(w, map[string]any{
		"Status": st, "Done": st.Count(ledger.GroupDone), "Skipped": st.Count(ledger.GroupSkipped), "Failed": st.Failed(), "Took": st.FinishedAt.Sub(st.CreatedAt), "Now": st.CreatedAt.Add(course.Age),
		"Outcomes": OutcomesOf(st), "Chart": CourseChart(st, course).SVG(), "Style": template.CSS(Style), //nolint:gosec // a part of this program
		"Failures": failures, "More": int64(more),
	})
}

// OutcomeCount is an outcome, how many rows have it, and what it means.
type OutcomeCount struct {
	Outcome ledger.Outcome
	Group   string
	Rows    int64
	Advice  Advice
}

// OutcomesOf are a batch's outcomes that occurred, in the order of the documentation.
// What is to be done about failed ones depends on why they failed.
func OutcomesOf(st ledger.Status) []OutcomeCount {
	var all []OutcomeCount
	for _, o := range ledger.Outcomes() {
		if n := st.Outcomes[o]; n > 0 {
			c := OutcomeCount{Outcome: o, Group: o.Group().String(), Rows: n}
			if a, ok := meanings[o]; ok {
				c.Advice = a.For(st.ID)
			}
			all = append(all, c)
		}
	}
	return all
}

// failuresOf reads the failed rows and groups them by reason, the most frequent first.
func failuresOf(ctx context.Context, l *ledger.Ledger, b ledger.Batch) ([]*failure, error) {
	type key struct {
		outcome ledger.Outcome
		status  int
		code    string
	}
	found := map[key]*failure{}
	_, err := Rows(ctx, l, b, Filter{Outcome: group("failed")}, func(e Entry) error {
		k := key{e.Row.Outcome, e.Row.Status, e.Row.Code}
		if len(found) >= 10*shownReasons && found[k] == nil {
			k.status, k.code = 0, "others"
		}
		f := found[k]
		if f == nil {
			f = &failure{Outcome: k.outcome, Status: k.status, Code: k.code, Advice: Advise(k.outcome, k.status, k.code).For(b.ID)}
			found[k] = f
		}
		f.Rows++
		if len(f.Some) < shownRows {
			f.Some = append(f.Some, lineOf(e))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := make([]*failure, 0, len(found))
	for _, f := range found {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b *failure) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Some[0].N, b.Some[0].N))
	})
	return all, nil
}

func lineOf(e Entry) line {
	c := e.Change()
	l := line{N: e.N, Call: c.CallID, Action: c.Action.String(), What: e.Row.Detail, ID: e.Row.RequestID, Who: e.Who()}
	if e.Stored {
		l.Source = fmt.Sprintf("%s:%d", e.File.Name, e.Line)
	}
	return l
}

// Who is whom a row is about: the name, if the file has one, and the id.
type Who struct{ Name, ID string }

// Who tells whom the row is about.
func (e Entry) Who() Who {
	c := e.Change()
	return Who{strings.TrimSpace(c.DisplayName), cmp.Or(c.ID, c.ParticipantID)}
}
