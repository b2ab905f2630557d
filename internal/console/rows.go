package console

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/report"
)

const (
	// pageRows is how many rows a page shows at most, and pageTime for how long it is
	// looked for them: of a large batch a page then shows what was found, and where to
	// look on.
	pageRows = 50
	pageTime = 100 * time.Millisecond
	// mostText caps what is searched for, in bytes.
	mostText = 200
)

// rowsPage is some rows of a batch.
type rowsPage struct {
	Batch      string
	Outcome    string // what was chosen
	Call, Text string
	Choices    []choice
	Rows       []row
	From, Last int64  // the rows that were looked through
	First      string // where the search begins
	Next       string // where to go on, if that is not the end
	Filtered   bool
}

type choice struct{ Value, Name string }

type row struct {
	report.Entry
	Source, Action, Call string
}

// chosen turns a word into what takes its outcomes: a group's name or an outcome's.
func chosen(word string) func(ledger.Outcome) bool {
	for _, o := range append(ledger.Outcomes(), ledger.Pending) {
		if o.String() == word {
			return func(x ledger.Outcome) bool { return x == o }
		}
		if o.Group().String() == word {
			return func(x ledger.Outcome) bool { return x.Group() == o.Group() }
		}
	}
	return nil
}

// rows looks for those that the visitor's choice takes.
func (c *Console) rows(ctx context.Context, b ledger.Batch, q url.Values) (rowsPage, error) {
	p := rowsPage{Batch: b.ID, Outcome: q.Get("outcome"), Call: clip(q.Get("call")), Text: clip(q.Get("text")), From: 1}
	if n, err := strconv.ParseInt(q.Get("from"), 10, 64); err == nil && n > 1 {
		p.From = min(n, max(b.Rows, 1))
	}
	f := report.Filter{Outcome: chosen(p.Outcome), Call: p.Call, Text: p.Text, From: p.From, Until: time.Now().Add(pageTime)}
	if f.Outcome == nil {
		p.Outcome = ""
	}
	p.Filtered = p.Outcome != "" || p.Call != "" || p.Text != ""
	next, err := report.Rows(ctx, c.ledger, b, f, func(e report.Entry) error {
		change := e.Change()
		r := row{Entry: e, Action: change.Action.String(), Call: change.CallID}
		if e.Stored {
			r.Source = e.File.Name + ":" + strconv.Itoa(e.Line)
		}
		if p.Rows = append(p.Rows, r); len(p.Rows) == pageRows {
			return report.ErrStop
		}
		return nil
	})
	if err != nil {
		return p, err
	}
	p.Last = next - 1
	v := url.Values{}
	for name, value := range map[string]string{"outcome": p.Outcome, "call": p.Call, "text": p.Text} {
		if value != "" {
			v.Set(name, value)
		}
	}
	p.First = "/batch/" + b.ID + "?" + v.Encode() + "#rows"
	if next <= b.Rows {
		v.Set("from", strconv.FormatInt(next, 10))
		p.Next = "/batch/" + b.ID + "?" + v.Encode() + "#rows"
	}
	p.Choices = choices()
	return p, nil
}

// choices are the words that chosen knows, the groups first.
func choices() []choice {
	all := []choice{{"", "any outcome"}}
	for _, g := range []string{"failed", "skipped", "done", "pending"} {
		all = append(all, choice{g, "all " + g})
	}
	for _, o := range ledger.Outcomes() {
		all = append(all, choice{o.String(), o.String()})
	}
	return all
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), mostText)], "") }
