package view

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"rollcall/cmd/internal/cli"
	"rollcall/internal/ledger"
)

const (
	pollFirst = 50 * time.Millisecond // a small batch is done at once
	pollMost  = time.Second
	lineEvery = 5 * time.Second // between lines where there is no terminal
)

// Watch shows progress on standard error until no row of the batch is pending.
// While Redis does not answer it waits. If ctx ends first, it says afterwards,
// which tells how to come back, and returns the error of ctx.
func Watch(ctx context.Context, c *cli.Command, l *ledger.Ledger, batch, afterwards string) (ledger.Status, error) {
	var show meter
	defer func() { show.end() }()
	away := false
	for wait := pollFirst; ; wait = min(wait*3/2, pollMost) {
		st, err := l.Status(ctx, batch)
		switch {
		case ctx.Err() != nil:
			show.end()
			c.Printf("%s\n", afterwards)
			return st, ctx.Err()
		case errors.Is(err, ledger.ErrNoBatch):
			return st, err
		case err != nil && !away:
			away = true
			c.Printf("Redis does not answer; waiting for it: %v\n", err)
		case err == nil:
			if away {
				away = false
				c.Printf("Redis answers again\n")
			}
			show.start(c.Stderr, st)
			show.set(st)
			if st.Pending == 0 {
				return st, nil
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

// GoesOn is what Watch says afterwards of a batch that workers carry out.
func GoesOn(batch string) string {
	return fmt.Sprintf("batch %s goes on without this command; come back with: batch watch %s", batch, batch)
}

// meter is a progress bar on a terminal and lines elsewhere.
type meter struct {
	w    io.Writer
	bar  *progressbar.ProgressBar
	next time.Time
	last int64
}

func (m *meter) start(w io.Writer, st ledger.Status) {
	if m.w != nil {
		return
	}
	m.w, m.last = w, -1
	m.next = time.Now().Add(lineEvery)
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		m.bar = progressbar.NewOptions64(st.Rows, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("rows"),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("rows"),
			progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth(), progressbar.OptionClearOnFinish())
	}
}

func (m *meter) set(st ledger.Status) {
	done := st.Rows - st.Pending
	if m.bar != nil {
		_ = m.bar.Set64(done)
		return
	}
	if now := time.Now(); now.After(m.next) && done != m.last {
		m.next, m.last = now.Add(lineEvery), done
		_, _ = fmt.Fprintf(m.w, "%d of %d rows, %d failed\n", done, st.Rows, st.Failed())
	}
}

func (m *meter) end() {
	if m.bar != nil {
		_ = m.bar.Clear()
		m.bar = nil
	}
}
