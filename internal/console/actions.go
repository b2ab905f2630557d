package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/tasks"
	"rollcall/internal/words"
)

// question is what is asked before a batch is changed.
type question struct {
	Batch, Action, Only string
	Text, Button        string
	Rows                int64
}

// orders are what can be done to a batch.
var orders = map[string]func(st ledger.Status, only string) (question, bool){
	"retry": func(st ledger.Status, only string) (q question, ok bool) {
		which, ok := tasks.Retryable(only)
		for _, o := range which {
			q.Rows += st.Outcomes[o]
		}
		q.Text = fmt.Sprintf("%s rows (%s) become pending again and are enqueued. They keep their place in the order of changes: what is newer stays.", words.Count(q.Rows), only)
		q.Button = "Retry " + words.Count(q.Rows) + " rows"
		return q, ok
	},
	"cancel": func(st ledger.Status, _ string) (q question, ok bool) {
		q.Rows = st.Pending
		q.Text = fmt.Sprintf("%s rows are pending. Those that are not under way end as cancelled; nobody else is rung or removed by this batch.", words.Count(q.Rows))
		q.Button = "Cancel the batch"
		return q, true
	},
}

// order reads what is to be done to which batch.
func (c *Console) order(w http.ResponseWriter, r *http.Request) (st ledger.Status, q question, ok bool) {
	ctx, cancel := bounded(r)
	defer cancel()
	ask, known := orders[r.PathValue("action")]
	if !known {
		c.fail(w, r, http.StatusNotFound, "There is no such page.")
		return st, q, false
	}
	st, err := c.ledger.Status(ctx, r.PathValue("id"))
	if err != nil {
		c.failed(w, r, err)
		return st, q, false
	}
	only := r.FormValue("only")
	if only == "" {
		only = "failed"
	}
	q, known = ask(st, only)
	if !known {
		c.fail(w, r, http.StatusBadRequest, "Only failed, expired or cancelled rows can be retried.")
		return st, q, false
	}
	q.Batch, q.Action, q.Only = st.ID, r.PathValue("action"), only
	return st, q, true
}

// ask asks whether to do it.
func (c *Console) ask(w http.ResponseWriter, r *http.Request) {
	if _, q, ok := c.order(w, r); ok {
		c.render(w, r, "ask", frame{Title: q.Button, Page: q})
	}
}

// act does it. It goes on if the visitor leaves, and if it takes long is left to
// itself: whatever cuts it off, it can be done again.
func (c *Console) act(w http.ResponseWriter, r *http.Request) {
	st, q, ok := c.order(w, r)
	if !ok {
		return
	}
	c.log.Info("the console changes a batch", "action", q.Action, "batch", st.ID, "rows", q.Rows)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), actTime)
	type result struct {
		n   int64
		err error
	}
	done := make(chan result, 1)
	go func() {
		defer cancel()
		n, err := c.do(ctx, st.Batch, q)
		if err != nil {
			c.log.Warn("the console's change of a batch failed", "action", q.Action, "batch", st.ID, "error", err)
		}
		done <- result{n, err}
	}()
	word := q.Action + "-under-way"
	select {
	case got := <-done:
		switch {
		case errors.Is(got.err, ledger.ErrFinished):
			c.fail(w, r, http.StatusConflict, "Every row has its outcome: there is nothing to cancel.")
			return
		case errors.Is(got.err, tasks.ErrUnderWay):
			c.fail(w, r, http.StatusConflict, "Rows of the cancelled batch are still under way: try again in a moment.")
			return
		case errors.Is(got.err, ledger.ErrOld):
			c.fail(w, r, http.StatusConflict, "The batch is so old that newer changes may be forgotten, which its rows would undo: look at the report of the failed rows, and enqueue what is still wanted.")
			return
		case got.err != nil:
			c.failed(w, r, got.err)
			return
		}
		word = q.Action + "-" + strconv.FormatInt(got.n, 10)
	case <-time.After(actWait):
	}
	page := "/batch/" + st.ID
	http.SetCookie(w, &http.Cookie{Name: saidCookie, Value: word, Path: page, MaxAge: 10, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil}) //nolint:gosec // see login
	http.Redirect(w, r, page, http.StatusSeeOther)
}

const (
	actTime = 10 * time.Minute
	actWait = 5 * time.Second
)

func (c *Console) do(ctx context.Context, b ledger.Batch, q question) (int64, error) {
	if q.Action == "cancel" {
		return q.Rows, c.queue.Cancel(ctx, b)
	}
	which, _ := tasks.Retryable(q.Only)
	return c.queue.Retry(ctx, b, which)
}

// saidCookie says what came of an order: in an address, anybody could say it.
const saidCookie = "rollcall-said"

// said is what the page says, once, of the order that led to it.
func said(w http.ResponseWriter, r *http.Request) string {
	cookie, err := r.Cookie(saidCookie)
	if err != nil || r.URL.Query().Has("live") {
		return ""
	}
	http.SetCookie(w, &http.Cookie{Name: saidCookie, Path: r.URL.Path, MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil}) //nolint:gosec // see login
	word := cookie.Value
	var n int64
	switch {
	case word == "retry-under-way":
		return "The rows are made pending again; it takes a while."
	case word == "cancel-under-way":
		return "The batch is being cancelled; it takes a while."
	case scan(word, "retry-%d", &n):
		return words.Count(n) + " rows are pending again."
	case scan(word, "cancel-%d", &n):
		return "The batch is cancelled. Rows that were under way get their own outcome."
	}
	return ""
}

func scan(word, format string, n *int64) bool {
	got, err := fmt.Sscanf(word, format, n)
	return err == nil && got == 1
}
