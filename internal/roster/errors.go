package roster

import (
	"cmp"
	"errors"
	"fmt"
)

// ErrChanged is returned by [Input.Each] if the input is no longer what
// [Input.Check] saw. Rows may have been handed out before it is noticed.
var ErrChanged = errors.New("changed while it was being read: run the command again")

// ErrNotChecked is returned by [Input.Each] without a [Input.Check] that read
// all files to their end.
var ErrNotChecked = errors.New("roster: Each needs a Check that read every file to its end")

// ErrStdinTwice is returned by [Open] if "-" is named more than once.
var ErrStdinTwice = errors.New("standard input is named twice")

// Error is one problem in the input. It holds no cell contents.
type Error struct {
	File string `json:"file"`
	// Line is where the record starts, from 1; 0 for a problem of the whole file.
	Line int `json:"line"`
	// Column is the number of the field, from 1; 0 if Line is 0.
	Column int `json:"column"`
	// Message is "name: what is wrong: hint", or without the name if Line is 0.
	Message string `json:"message"`
}

// Error returns "file:line:column: message", or "file: message" for a problem
// of the whole file.
func (e Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// InvalidError says that the input cannot be used as it is.
type InvalidError struct {
	Errors []Error `json:"errors"` // the first ones and, of each unusable file, one; in the order of the input
	More   int     `json:"more"`   // how many were left out
}

// Error returns the first problem and the number of the others.
func (e *InvalidError) Error() string {
	if len(e.Errors) == 0 {
		return "invalid input"
	}
	if n := len(e.Errors) - 1 + e.More; n > 0 {
		return fmt.Sprintf("%s (and %d more)", e.Errors[0].Error(), n)
	}
	return e.Errors[0].Error()
}

// CellError is a problem of one cell, or of one column name.
type CellError struct {
	Column  int    // number of the cell from 1; 0 for a column that is missing
	Name    string // the column's name
	Message string // what is wrong, and a hint
}

// Error returns "name: message".
func (e CellError) Error() string { return e.Name + ": " + e.Message }

// HeaderError says that a header cannot be used. It is returned by [NewSchema].
type HeaderError struct{ Errors []CellError }

// Error returns the first problem and the number of the others.
func (e *HeaderError) Error() string {
	if n := len(e.Errors) - 1; n > 0 {
		return fmt.Sprintf("%s (and %d more)", e.Errors[0].Error(), n)
	}
	return e.Errors[0].Error()
}

// OptionError says that a value in [Options] cannot be used.
type OptionError struct {
	Name    string // as the column is called: "call_id", "tenant_id", "action"
	Message string
}

// Error returns "name: message".
func (e *OptionError) Error() string { return e.Name + ": " + e.Message }

// contentError is a problem of a whole file's content, as opposed to a failure
// to read it. Its text is the message for the user.
type contentError string

func (e contentError) Error() string { return string(e) }

// errorList collects problems up to a cap and counts the rest. Why a file is of
// no use is not left out for the rows before it, with which it may be all right.
type errorList struct {
	max    int
	errors []Error
	more   int
}

func (l *errorList) add(errs ...Error) {
	n := max(0, min(len(errs), l.max-len(l.errors)))
	l.errors = append(l.errors, errs[:n]...)
	l.more += len(errs) - n
}

// addFile adds the problems of a file that is of no use, one at least.
func (l *errorList) addFile(errs ...Error) {
	if len(l.errors) < l.max {
		l.add(errs...)
		return
	}
	l.errors = append(l.errors, errs[0])
	l.add(errs[1:]...)
}

// byColumn orders the problems of one row.
func byColumn(a, b CellError) int { return cmp.Compare(a.Column, b.Column) }
