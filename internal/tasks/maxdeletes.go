package tasks

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"rollcall/internal/roster"
)

// DeleteLimit is how much a file may remove before somebody has to say that it is
// meant. The zero value limits nothing.
type DeleteLimit struct {
	text  string
	most  int64   // participants in all
	share float64 // or percent of the roster of any one call
}

// Set reads "50" or "2.5%".
func (l *DeleteLimit) Set(text string) error {
	number, percent := strings.CutSuffix(text, "%")
	err := errDeleteLimit
	if strings.Trim(number, "0123456789.") != "" { // no signs, exponents, infinities
		return err
	}
	n := DeleteLimit{text: text}
	if percent {
		n.share, err = strconv.ParseFloat(number, 64)
	} else {
		n.most, err = strconv.ParseInt(number, 10, 64)
	}
	if err != nil || n.share > 100 {
		return errDeleteLimit
	}
	*l = n
	return nil
}

var errDeleteLimit = errors.New("must be a number of participants, as 50, or a share of each call's roster from 0% to 100%, as 2.5%")

// String is the limit as it was written; "" if there is none.
func (l *DeleteLimit) String() string { return l.text }

// Type is the word for it in usage texts.
func (*DeleteLimit) Type() string { return "N|N%" }

// Given tells whether there is a limit.
func (l *DeleteLimit) Given() bool { return l.text != "" }

// NeedsRosters tells whether the limit is one of shares, so that [Plan.Look] must
// have been there before the plan can be checked.
func (l *DeleteLimit) NeedsRosters() bool { return strings.HasSuffix(l.text, "%") }

// maxExcess is how many errors are kept of a plan that exceeds its limit.
const maxExcess = 100

// Excess checks the plan against a limit. It returns what exceeds it, in the order
// of the files, and how much more. Without such, the error says of which calls it
// is not known, as their rosters could not be read. Nothing exceeds a share where
// no roster was looked at.
func (p *Plan) Excess(l *DeleteLimit) (errs []roster.Error, more int, err error) {
	if !l.Given() || l.NeedsRosters() && p.live == nil {
		return nil, 0, nil
	}
	if !l.NeedsRosters() {
		return p.excessInAll(l), 0, nil
	}
	var unread []*planCall
	var why error
	for i := range p.calls {
		c, live := &p.calls[i], p.lookedAt(uint32(i))
		switch {
		case c.deletes() == 0 || live == nil:
		case live.Err != nil:
			if unread = append(unread, c); why == nil {
				why = errors.New(live.noRoster())
			}
		case live.leaves() > 0 && float64(live.leaves())*100 > l.share*float64(live.Shown):
			if len(errs) == maxExcess {
				more++
				continue
			}
			file, line := p.first(c)
			errs = append(errs, roster.Error{File: file, Line: line, Column: 1, Message: live.excess(c.call(), l)})
		}
	}
	if len(errs) > 0 || len(unread) == 0 {
		return errs, more, nil
	}
	others := ""
	if n := len(unread) - 1; n > 0 {
		others = fmt.Sprintf(" (and %d more calls)", n)
	}
	return nil, 0, fmt.Errorf("nobody can tell what share of call %q would be removed: %w%s", unread[0].call(), why, others)
}

// excessInAll checks a limit that is a number.
func (p *Plan) excessInAll(l *DeleteLimit) []roster.Error {
	removed, unknown := int64(0), int64(0)
	var first *planCall
	for i := range p.calls {
		c := &p.calls[i]
		if c.line > 0 && first == nil {
			first = c
		}
		if live := p.lookedAt(uint32(i)); live != nil {
			removed += live.Removed
			unknown += live.UnknownDeletes
		} else {
			removed += c.deletes()
		}
	}
	if removed+unknown <= l.most {
		return nil
	}
	said := ""
	if unknown > 0 {
		said = fmt.Sprintf(" (of %d it is not known whether they are there)", unknown)
	}
	file, _ := p.first(first)
	return []roster.Error{{File: file, Message: fmt.Sprintf("%d participants would be removed%s, more than --max-deletes %s", removed+unknown, said, l)}}
}

// leaves is how many participants would be removed, or may be.
func (l *Live) leaves() int64 { return l.Leaving + l.UnknownDeletes }

func (l *Live) excess(call string, limit *DeleteLimit) string {
	said := ""
	if l.UnknownDeletes > 0 {
		said = fmt.Sprintf(" (of %d it is not known whether they are there)", l.UnknownDeletes)
	}
	return fmt.Sprintf("call %q: %d participants would be removed%s, and its roster shows %d: more than --max-deletes %s", call, l.leaves(), said, l.Shown, limit)
}
