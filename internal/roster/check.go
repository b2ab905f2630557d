package roster

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
)

// Summary is what [Input.Check] found in a usable input.
type Summary struct {
	Files    []File
	Rows     int64 // good data rows
	Rejected int64 // rows with errors, left out

	// Errors are those of the rejected rows, up to Options.MaxErrors; More
	// counts the rest.
	Errors []Error
	More   int

	// Sum identifies the content: the decoded text of all files in order. The
	// names of the files and the way they are encoded do not matter; where one
	// file ends and the next begins does.
	Sum [sha256.Size]byte

	// Notices are remarks for people, one line each.
	Notices []string
}

// Check reads everything and says whether it can be used. If it cannot, the
// error is an [*InvalidError] with what is wrong in all files; if that is
// single rows only, the Summary is there too, and Each can be used to write
// them to a [Rejects]. An [*OptionError] blames the options. Other errors are
// failures to read.
func (in *Input) Check(ctx context.Context, o Options) (*Summary, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	in.sums = nil
	o = o.withDefaults()
	sum := &Summary{Files: make([]File, len(in.sources))}
	for i, src := range in.sources {
		sum.Files[i].Name = src.name
	}
	list := errorList{max: o.MaxErrors, errors: []Error{}}
	fatal := len(in.sources) == 0
	p := &pass{
		o: o,
		header: func(i int, h *header) {
			sum.Files[i].Columns = h.columns()
			sum.Notices = append(sum.Notices, notices(sum.Files[i].Name, h, o)...)
		},
		row: func(r Record) error {
			sum.Rows++
			sum.Files[r.File].Rows++
			return nil
		},
		invalid: func(r Invalid) error {
			sum.Rejected++
			sum.Files[r.File].Rejected++
			list.add(r.Errors...)
			return nil
		},
		unusable: func(_ int, errs []Error) error {
			fatal = true
			list.addFile(errs...)
			return nil
		},
	}
	sums, whole, err := p.run(ctx, in.sources)
	if err != nil {
		return nil, err
	}
	if whole {
		in.sums = sums
	}
	sum.Errors, sum.More = list.errors, list.more
	invalid := &InvalidError{Errors: list.errors, More: list.more}
	if fatal {
		return nil, invalid
	}
	sum.Sum = combine(sums)
	if sum.Rejected > 0 && !o.SkipInvalid || sum.Rows == 0 {
		return sum, invalid
	}
	return sum, nil
}

// Each reads everything again and hands out the rows in order: good ones to
// row, others to invalid, which may be nil. The options must be those of the
// Check before; SkipInvalid does not matter.
//
// An error of row or invalid ends it and is returned. If the content is not
// what Check saw, Each returns [ErrChanged], wrapped with the name of the
// file: perhaps only after the last row, so what is done with the rows must
// not become final before Each has returned nil.
func (in *Input) Each(ctx context.Context, o Options, row func(Record) error, invalid func(Invalid) error) error {
	if err := o.Validate(); err != nil {
		return err
	}
	if in.sums == nil {
		return ErrNotChecked
	}
	if invalid == nil {
		invalid = func(Invalid) error { return nil }
	}
	changed := func(file int) error {
		return fmt.Errorf("%s: %w", in.sources[file].name, ErrChanged)
	}
	p := &pass{
		o:        o.withDefaults(),
		header:   func(int, *header) {},
		row:      row,
		invalid:  invalid,
		unusable: func(file int, _ []Error) error { return changed(file) },
	}
	sums, _, err := p.run(ctx, in.sources)
	if err != nil {
		return err
	}
	for i := range sums {
		if sums[i] != in.sums[i] {
			return changed(i)
		}
	}
	return nil
}

// combine makes one sum of all files'. Each counts with its length, so that
// moving text from one file to the next makes a difference.
func combine(sums []textSum) [sha256.Size]byte {
	h := sha256.New()
	for _, s := range sums {
		// A hash never fails to write.
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(s.length)))
		_, _ = h.Write(s.hash[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// notices are remarks on a header that is fine.
func notices(file string, h *header, o Options) []string {
	var list, other []string
	for i, k := range h.keep {
		if h.schema.columns[i] == colOther {
			other = append(other, h.name(k+1))
		}
	}
	if len(other) > 0 {
		list = append(list, "not used, but kept for the report: "+enumerate(other))
	}
	if n := len(h.names) - len(h.keep); n > 0 {
		list = append(list, "left out, as an earlier report or rejects file added them: "+enumerate(h.dropped()))
	}
	if o.Action != 0 && h.schema.at[colAction] >= 0 {
		list = append(list, "has its own action column: --action is not used for it")
	}
	if o.CallID != "" && h.schema.at[colCall] >= 0 {
		list = append(list, "has its own call_id column: --call-id is not used for it")
	}
	if o.TenantID != "" && h.schema.at[colTenant] >= 0 {
		list = append(list, "has its own tenant_id column: --tenant-id is used for its blank cells only")
	}
	for i := range list {
		list[i] = file + ": " + list[i]
	}
	return list
}

// enumerate joins names, not too many of them.
func enumerate(names []string) string {
	const most = 10
	if n := len(names) - most; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n)
	}
	return strings.Join(names, ", ")
}
