package view

import (
	"fmt"
	"strings"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/report"
	"rollcall/internal/tasks"
	"rollcall/internal/words"
)

// sight is a batch that runs, as it is shown: with no word of Graph's, which may
// name people, as what is shown may end in a log.
type sight struct {
	ledger.Status
	age     time.Duration
	pace    ledger.Pace
	fleet   tasks.Fleet
	reasons []ledger.Reason
}

// shownReasons is how many reasons a terminal shows.
const shownReasons = 4

// block is what a terminal shows, in lines of at most so many characters.
func (v sight) block(width int) []string {
	done := v.Rows - v.Pending
	head := fmt.Sprintf("%3.0f %% ", 100*float64(done)/float64(max(v.Rows, 1)))
	tail := " " + v.counts()
	lines := []string{head + bar(done, v.Rows, max(min(width-len(head)-len(tail)-2, 50), 0)) + tail}
	lines = append(lines, "  "+v.speed())
	if text := v.limit(); text != "" {
		lines = append(lines, "  "+text)
	}
	for i, r := range v.reasons {
		if i == shownReasons {
			lines = append(lines, fmt.Sprintf("  and %d more reasons", len(v.reasons)-i))
			break
		}
		lines = append(lines, "  failed: "+reasonText(r))
	}
	for i := range lines {
		if text := []rune(lines[i]); len(text) > width {
			lines[i] = string(text[:width-1]) + "…"
		}
	}
	return lines
}

// line is the same in one.
func (v sight) line() string {
	parts := []string{v.counts()}
	for _, text := range []string{v.speed(), v.limit()} {
		if text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "; ")
}

func (v sight) counts() string {
	return fmt.Sprintf("%d of %d rows, %d failed", v.Rows-v.Pending, v.Rows, v.Failed())
}

// speed is how fast it goes, and the time left.
func (v sight) speed() string {
	text := words.Rate(v.pace.Rate) + " rows a second"
	switch {
	case v.pace.Quiet > 0 && len(v.fleet.Workers) > 0:
		text = "nothing came for " + words.Duration(v.pace.Quiet.Round(time.Second)) + ": waiting for Graph, or for people who do not answer"
	case v.pace.Known:
		text += ", about " + words.Duration(v.pace.Left) + " left"
	case len(v.fleet.Workers) == 0:
		text = "no worker runs: the rows wait until one is started"
	default:
		text += ", time left not known yet"
	}
	if !v.Sealed {
		text += "; its enqueue is still running, or was interrupted"
	}
	return text
}

// limit is what Graph allows the fleet at present, and the pause that it asks for.
func (v sight) limit() string {
	var parts []string
	active := v.fleet.Active()
	for _, s := range active[:min(len(active), 3)] {
		text := "at most " + words.Rate(s.Rate) + " requests a second"
		if s.Pause > 0 {
			text = "Graph asks to wait " + words.Duration(max(s.Pause.Round(time.Second), time.Second)) + "; then " + text
		}
		if len(active) > 1 {
			text = s.Scope[strings.LastIndexByte(s.Scope, '/')+1:] + ": " + text
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// reasonText says why rows failed, and where to look.
func reasonText(r ledger.Reason) string {
	why := report.Answer(r.Status, r.Code)
	if r.Row > 0 {
		why += fmt.Sprint(", first in row ", r.Row)
	}
	// What it means comes last: a narrow terminal cuts it.
	return fmt.Sprintf("%d %s (%s): %s", r.Rows, r.Outcome, why, report.Advise(r.Outcome, r.Status, r.Code).What)
}

// bar draws how much is done.
func bar(done, all int64, width int) string {
	if width < 5 {
		return ""
	}
	full := int(float64(width) * float64(done) / float64(max(all, 1)))
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", width-full) + "]"
}
