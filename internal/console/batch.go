package console

import (
	"cmp"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/report"
	"rollcall/internal/tasks"
)

// batchPage is one batch.
type batchPage struct {
	ledger.Status
	Counts   counts
	Outcomes []report.OutcomeCount
	Pace     ledger.Pace
	Took     time.Duration
	Chart    template.HTML
	Reasons  []reason
	Fleet    fleetLine

	Expired, Cancelled int64     // rows that can be retried, too
	List               *rowsPage // nil if this visitor may not see them, and in live parts
}

// reason is why rows failed, and what to do.
type reason struct {
	ledger.Reason
	Advice report.Advice
}

// counts are a batch's rows by group.
type counts struct {
	Rows, Done, Skipped, Failed, Pending int64
}

func countsOf(st ledger.Status) counts {
	return counts{
		Rows: st.Rows, Done: st.Count(ledger.GroupDone), Skipped: st.Count(ledger.GroupSkipped),
		Failed: st.Failed(), Pending: st.Pending,
	}
}

func (c *Console) batch(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := bounded(r)
	defer cancel()
	id := r.PathValue("id")
	if tasks.CheckBatchID(id) != nil {
		c.failed(w, r, ledger.ErrNoBatch)
		return
	}
	st, err := c.ledger.Status(ctx, id)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	course, err := c.ledger.Course(ctx, st.Batch)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	reasons, err := c.ledger.Reasons(ctx, st.Batch)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	f, err := c.queue.Fleet(ctx)
	if err != nil {
		c.failed(w, r, err)
		return
	}
	p := batchPage{
		Status: st, Counts: countsOf(st), Outcomes: report.OutcomesOf(st), Pace: ledger.PaceOf(course, st.Pending),
		Took: course.Age, Chart: report.CourseChart(st, course).SVG(), Fleet: lineOf(f),
		Expired: st.Outcomes[ledger.Expired], Cancelled: st.Outcomes[ledger.Cancelled],
	}
	if !st.FinishedAt.IsZero() {
		p.Took = st.FinishedAt.Sub(st.CreatedAt)
	}
	signed := c.signed(r)
	for _, x := range reasons {
		if !signed {
			x.Detail, x.Row = "", 0 // Graph's words may name people
		}
		p.Reasons = append(p.Reasons, reason{x, report.Advise(x.Outcome, x.Status, x.Code).For(id)})
	}
	if signed && !r.URL.Query().Has("live") {
		rows, err := c.rows(ctx, st.Batch, r.URL.Query())
		if err != nil {
			c.failed(w, r, err)
			return
		}
		p.List = &rows
	}
	refresh := 10
	if st.Pending == 0 {
		refresh = 0
	}
	c.render(w, r, "batch", frame{Title: "Batch " + id, Refresh: refresh, Said: said(w, r), Page: p})
}

// report sends a report as a file.
func (c *Console) report(w http.ResponseWriter, r *http.Request) {
	id, format, only := r.PathValue("id"), r.URL.Query().Get("format"), r.URL.Query().Get("only")
	ctx, cancel := bounded(r)
	st, err := c.ledger.Status(ctx, id)
	cancel()
	if err != nil {
		c.failed(w, r, err)
		return
	}
	types := map[string]string{"csv": "text/csv; charset=utf-8", "json": "application/json", "html": "text/html; charset=utf-8"}
	format, only = cmp.Or(format, "csv"), cmp.Or(only, "all")
	if types[format] == "" || !slices.Contains(report.Only(), only) {
		c.fail(w, r, http.StatusBadRequest, "There are reports as csv, json and html, of done, skipped, failed, pending or all rows.")
		return
	}
	// A large one takes its time on a slow line.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
	w.Header().Set("Content-Type", types[format])
	w.Header().Set("Content-Disposition", `attachment; filename="`+strings.Join([]string{"rollcall", id, only}, "-")+"."+format+`"`)
	if err := report.Write(r.Context(), w, c.ledger, st.Batch, format, only); err != nil {
		c.log.Warn("a report was cut short", "batch", id, "error", err)
		panic(http.ErrAbortHandler) // so that it is not held for whole
	}
}
