package view

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"rollcall/cmd/internal/cli"
	"rollcall/internal/ledger"
	"rollcall/internal/tasks"
)

const (
	pollFirst = 50 * time.Millisecond // a small batch is done at once
	pollLeast = 100 * time.Millisecond
	pollMost  = 500 * time.Millisecond
	lineEvery = 5 * time.Second // between lines where there is no terminal
)

// Watch shows progress on standard error until no row of the batch is pending.
// While Redis does not answer it waits. If ctx ends first, it says afterwards,
// which tells how to come back, and returns the error of ctx.
func Watch(ctx context.Context, c *cli.Command, q *tasks.Queue, batch, afterwards string) (ledger.Status, error) {
	show := newShower(c)
	defer show.end()
	away := false
	for wait := pollFirst; ; wait = min(wait*3/2, pollMost) {
		st, err := q.Ledger.Status(ctx, batch)
		if err == nil && away {
			away = false
			c.Printf("Redis answers again\n")
		}
		if err == nil && st.Pending > 0 && show.due() {
			var v sight
			if v, err = look(ctx, q, st); err == nil {
				show.show(v)
				if v.pace.Known { // the end is told when it comes
					wait = min(wait, max(v.pace.Left/2, pollLeast))
				}
			}
		}
		switch {
		case ctx.Err() != nil:
			show.end()
			c.Printf("%s\n", afterwards)
			return st, ctx.Err()
		case errors.Is(err, ledger.ErrNoBatch):
			return st, err
		case err != nil && !away:
			away = true
			show.end()
			c.Printf("Redis does not answer; waiting for it: %v\n", err)
		case err == nil:
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

// look reads what is shown of a batch that runs.
func look(ctx context.Context, q *tasks.Queue, st ledger.Status) (v sight, err error) {
	v.Status = st
	course, err := q.Ledger.Course(ctx, st.Batch)
	if err != nil {
		return v, err
	}
	v.age, v.pace = course.Age, ledger.PaceOf(course, st.Pending)
	if v.fleet, err = q.Fleet(ctx); err != nil || st.Failed() == 0 {
		return v, err
	}
	v.reasons, err = q.Ledger.Reasons(ctx, st.Batch)
	return v, err
}

// GoesOn is what Watch says afterwards of a batch that workers carry out.
func GoesOn(batch string) string {
	return fmt.Sprintf("batch %s goes on without this command; come back with: batch watch %s", batch, batch)
}

// shower shows how far a batch is, as often as is due.
type shower interface {
	due() bool
	show(v sight)
	end() // takes off what is not to stay
}

func newShower(c *cli.Command) shower {
	if f, ok := c.Stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) && c.Env("TERM") != "dumb" {
		return &screen{file: f}
	}
	return &log{w: c.Stderr, next: time.Now().Add(lineEvery), told: map[ledger.Reason]bool{}}
}

// screen keeps some lines of a terminal up to date.
type screen struct {
	file  *os.File
	lines int // that are there
}

func (s *screen) due() bool { return true }

func (s *screen) show(v sight) {
	width, _, err := term.GetSize(int(s.file.Fd()))
	if err != nil || width < 20 {
		width = 80
	}
	lines := v.block(width - 1) // in the last column some terminals begin a line
	text := s.back()
	for _, l := range lines {
		text += "\x1b[2K" + l + "\n"
	}
	// What is left of a longer block, and lines that a narrower window has broken.
	text += "\x1b[J"
	s.lines = len(lines)
	_, _ = s.file.WriteString(text)
}

// back is the way to the block's first line.
func (s *screen) back() string {
	if s.lines == 0 {
		return "\r"
	}
	return fmt.Sprintf("\r\x1b[%dA", s.lines)
}

func (s *screen) end() {
	if s.lines > 0 {
		_, _ = s.file.WriteString(s.back() + "\x1b[J")
		s.lines = 0
	}
}

// log writes a line from time to time, and each reason for failures once.
type log struct {
	w    io.Writer
	next time.Time
	last string
	told map[ledger.Reason]bool
}

func (l *log) due() bool { return time.Now().After(l.next) }

func (l *log) show(v sight) {
	l.next = time.Now().Add(lineEvery)
	if line := v.line(); line != l.last {
		l.last = line
		_, _ = fmt.Fprintln(l.w, line)
	}
	for _, r := range v.reasons {
		key := ledger.Reason{Outcome: r.Outcome, Status: r.Status, Code: r.Code}
		if !l.told[key] && len(l.told) < mostTold {
			l.told[key] = true
			_, _ = fmt.Fprintf(l.w, "  failed: %s\n", reasonText(r))
		}
	}
}

// mostTold is for how many reasons there is a line.
const mostTold = 10

func (l *log) end() {}
