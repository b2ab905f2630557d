package roster

import (
	"cmp"
	"fmt"
)

// Options say how files are read. The zero value is usable.
type Options struct {
	// Action and CallID stand in for the column in files that lack it.
	Action Action
	CallID string
	// TenantID is used in files without the column, and for its blank cells.
	TenantID string

	// SkipInvalid makes rows with errors count as rejected instead of making
	// the input invalid.
	SkipInvalid bool

	// MaxErrors is how many errors are kept; the rest is counted. 0 means 100. One
	// that makes a file unusable is kept in any case.
	MaxErrors int
	Limits    Limits
}

// Limits bound what one input may hold, so that no file can exhaust memory or
// run on for ever. A zero field means its default.
type Limits struct {
	Record  int   // bytes of one record, without its line end: 1 MiB
	Cell    int   // bytes of one cell: 32 KiB
	Columns int   // columns of one file: 256
	Rows    int64 // data rows of the whole input: 50,000,000
	Bytes   int64 // decoded bytes of the whole input: 8 GiB
	// Ratio is how many times its packed size a gzip file of more than 64 MiB may
	// have unpacked: 200. By gzip -6 a million rows of one call have 4 with random
	// GUIDs, 21 with ids or phones in sequence, 78 to 92 with many columns that are
	// blank or the same in all rows, 150 with a note of 1 KB that is, and 186 as
	// UTF-16; the same row over and over has 240 to 515. A bomb that stays below
	// costs no more than a file of 200 times its size.
	Ratio int64
}

const defaultMaxErrors = 100

func (l Limits) withDefaults() Limits {
	return Limits{
		Record:  cmp.Or(l.Record, 1<<20),
		Cell:    cmp.Or(l.Cell, 32<<10),
		Columns: cmp.Or(l.Columns, 256),
		Rows:    cmp.Or(l.Rows, 50_000_000),
		Bytes:   cmp.Or(l.Bytes, 8<<30),
		Ratio:   cmp.Or(l.Ratio, 200),
	}
}

func (o Options) withDefaults() Options {
	o.MaxErrors = cmp.Or(o.MaxErrors, defaultMaxErrors)
	o.Limits = o.Limits.withDefaults()
	return o
}

// Validate checks the values that stand in for columns by the rules for cells.
// Its error is an [*OptionError].
func (o Options) Validate() error {
	if o.Action != 0 && o.Action.String() == "" {
		return &OptionError{Name: colAction.String(), Message: ErrAction.Error()}
	}
	for _, v := range []struct {
		col column
		id  string
	}{{colCall, o.CallID}, {colTenant, o.TenantID}} {
		if v.id == "" {
			continue
		}
		if m := checkCell(v.col, v.id); m != "" {
			return &OptionError{Name: v.col.String(), Message: m}
		}
	}
	return nil
}

// size writes a number of bytes the short way, exact for whole units.
func size(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 1<<10 && n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d bytes", n)
}
