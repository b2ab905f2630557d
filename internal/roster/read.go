package roster

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// File describes one file of an input.
type File struct {
	Name           string
	Columns        []string // that are kept, as written, trimmed
	Rows, Rejected int64    // good data rows, and rows with errors
}

// Record is one good row. Cells, and nothing else, is valid only during the
// call that gets it.
type Record struct {
	Change Change
	File   int      // index of the file
	Line   int      // where the record starts, from 1
	Cells  []string // of the file's kept columns, trimmed and unescaped
}

// Invalid is one row with errors. Cells is valid only during the call that
// gets it. A row with the wrong number of fields has all its text in the first
// cell: which field belongs where is a guess, and half a row must not pass for
// a whole one when a rejects file is read again.
type Invalid struct {
	File, Line int
	Cells      []string
	Errors     []Error
}

// pass is one reading of all files.
type pass struct {
	o     Options
	rows  int64 // data rows so far
	good  int64 // of which good
	bytes int64 // decoded so far

	header  func(file int, h *header)
	row     func(Record) error
	invalid func(Invalid) error
	// unusable is told that a file has a problem that is not one row's. The
	// pass goes on with the next file.
	unusable func(file int, errs []Error) error
}

// textSum identifies the decoded text of a file.
type textSum struct {
	length int64
	hash   [sha256.Size]byte
}

// run reads all files. It returns the sums of their texts, and whether it
// read each of them to its end.
func (p *pass) run(ctx context.Context, sources []*source) (sums []textSum, whole bool, err error) {
	whole = true
	for i, src := range sources {
		f := &fileReader{pass: p, index: i, name: src.name}
		sum, err := f.read(ctx, src)
		if content := contentError(""); errors.As(err, &content) {
			f.unusable = []Error{{File: src.name, Message: content.Error()}}
		} else if err != nil {
			return nil, false, err
		}
		if len(f.unusable) > 0 {
			whole = false
			if err := p.unusable(i, f.unusable); err != nil {
				return nil, false, err
			}
		}
		sums = append(sums, sum)
	}
	return sums, whole, nil
}

// fileReader reads one file of a pass.
type fileReader struct {
	pass  *pass
	index int
	name  string

	csv      *csv.Reader
	header   *header // nil before it was read
	cells    []string
	unusable []Error // why reading stopped
}

// read reads a file to its end, or until it turns out to be unusable. Its
// error is a contentError, one of the callbacks' or one of reading.
func (f *fileReader) read(ctx context.Context, src *source) (textSum, error) {
	p := f.pass
	raw, err := src.open(ctx, p.o.Limits.Bytes)
	if err != nil {
		return textSum{}, err
	}
	text, err := decode(raw, p.o.Limits.Ratio)
	if err != nil {
		return textSum{}, err
	}
	hash := sha256.New()
	var length int64
	text = io.TeeReader(p.limit(text, &length), hash)

	br := bufio.NewReaderSize(text, readSize)
	head, err := peek(br, readSize)
	if err != nil {
		return textSum{}, err
	}
	comma, err := sniff(head, len(head) < readSize)
	if err != nil {
		return textSum{}, err
	}
	f.csv = csv.NewReader(newGuard(br, comma, p.o.Limits.Record))
	f.csv.Comma = comma
	f.csv.FieldsPerRecord = -1 // checked here, to say both counts
	f.csv.ReuseRecord = true

	before := p.rows
	if err := f.records(); err != nil || f.unusable != nil {
		return textSum{}, err
	}
	switch {
	case f.header == nil:
		return textSum{}, contentError("empty: the first line must name the columns")
	case p.rows == before:
		return textSum{}, contentError("no rows below the header")
	}
	return textSum{length, [sha256.Size]byte(hash.Sum(nil))}, nil
}

// limit counts the bytes of one text and of all, and stops over the limit.
func (p *pass) limit(text io.Reader, length *int64) io.Reader {
	return readerFunc(func(b []byte) (int, error) {
		n, err := text.Read(b)
		*length += int64(n)
		p.bytes += int64(n)
		if p.bytes > p.o.Limits.Bytes {
			return 0, errTooLarge(p.o.Limits.Bytes)
		}
		return n, err
	})
}

// records reads the header and the rows.
func (f *fileReader) records() error {
	p := f.pass
	for {
		fields, err := f.csv.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return f.broken(len(fields), err)
		}
		if blank(fields) {
			continue
		}
		line, _ := f.csv.FieldPos(0)
		if f.header == nil {
			if err := f.readHeader(line, fields); err != nil || f.unusable != nil {
				return err
			}
			p.header(f.index, f.header)
			continue
		}
		if p.rows == p.o.Limits.Rows {
			return contentError(fmt.Sprintf("the input has more than %d rows: split it", p.o.Limits.Rows))
		}
		p.rows++
		if err := f.readRow(line, fields); err != nil {
			return err
		}
	}
}

// broken makes the error of a record that could not be read; read is how many
// of its fields were. After it the record boundaries are a guess, so nothing
// that follows is looked at.
func (f *fileReader) broken(read int, err error) error {
	var long longError
	var parse *csv.ParseError
	switch {
	case errors.As(err, &parse) && errors.Is(parse.Err, csv.ErrBareQuote):
		f.stop(parse.StartLine, read+1, "a quote inside a cell that is not quoted: "+
			"quote the whole cell and double the quotes in it; the rest of the file was not checked")
	case errors.As(err, &parse):
		f.stop(parse.StartLine, read+1, "a quoted cell is not closed, or is followed by text: "+
			"double the quotes inside it; the rest of the file was not checked")
	case errors.As(err, &long):
		f.stop(long.line, long.field, "record is longer than "+size(int64(f.pass.o.Limits.Record))+
			": look for a missing quote; the rest of the file was not checked")
	default:
		return err
	}
	return nil
}

func (f *fileReader) stop(line, field int, message string) {
	f.unusable = []Error{{f.name, line, field, f.header.name(field) + ": " + message}}
}

// readHeader takes the first record.
func (f *fileReader) readHeader(line int, fields []string) error {
	if most := f.pass.o.Limits.Columns; len(fields) > most {
		f.stop(line, most+1, fmt.Sprintf("%d columns, more than %d: export only the ones needed", len(fields), most))
		return nil
	}
	h := new(header)
	for i, field := range fields {
		name := clean(field)
		h.names = append(h.names, name)
		if !reportColumns[normalise(name)] {
			h.keep = append(h.keep, i)
		}
	}
	var err error
	var bad *HeaderError
	h.schema, err = NewSchema(h.columns(), f.pass.o)
	if errors.As(err, &bad) {
		for _, e := range bad.Errors {
			at := Error{File: f.name, Message: e.Error()}
			if e.Column > 0 {
				at.Line, at.Column = line, h.keep[e.Column-1]+1
			}
			f.unusable = append(f.unusable, at)
		}
		return nil
	}
	f.header = h
	return err
}

// readRow takes a data row and hands it on.
func (f *fileReader) readRow(line int, fields []string) error {
	p, h := f.pass, f.header
	f.cells = f.cells[:0]
	if len(fields) != len(h.names) {
		return p.invalid(f.ragged(line, fields))
	}
	for _, k := range h.keep {
		f.cells = append(f.cells, clean(fields[k]))
	}
	change, errs := h.schema.Change(f.cells)
	if len(errs) == 0 {
		p.good++
		change.Row = p.good
		return p.row(Record{Change: change, File: f.index, Line: line, Cells: f.cells})
	}
	invalid := Invalid{File: f.index, Line: line, Cells: f.cells}
	for _, e := range errs {
		invalid.Errors = append(invalid.Errors, Error{f.name, line, h.keep[e.Column-1] + 1, e.Error()})
	}
	return p.invalid(invalid)
}

// ragged makes a row with the wrong number of fields.
func (f *fileReader) ragged(line int, fields []string) Invalid {
	e := raggedError(len(fields), len(f.header.names))
	for i, field := range fields {
		fields[i] = clean(field)
	}
	f.cells = append(f.cells, strings.Join(fields, ", "))
	f.cells = slices.Grow(f.cells, len(f.header.keep))[:len(f.header.keep)]
	clear(f.cells[1:])
	return Invalid{f.index, line, f.cells, []Error{{f.name, line, e.Column, e.Error()}}}
}

// blank reports whether a record has nothing in it.
func blank(fields []string) bool {
	for _, field := range fields {
		if strings.TrimSpace(field) != "" {
			return false
		}
	}
	return true
}

// header is what the first record of a file says.
type header struct {
	names  []string // all fields
	keep   []int    // indexes of the fields that are kept
	schema *Schema
}

// columns returns the names of the kept columns.
func (h *header) columns() []string {
	names := make([]string, len(h.keep))
	for i, k := range h.keep {
		names[i] = h.names[k]
	}
	return names
}

// name returns what messages call field n, from 1.
func (h *header) name(n int) string {
	if h == nil {
		return "header"
	}
	if n > len(h.names) {
		return "record"
	}
	return label(h.names[n-1], n)
}

// dropped returns what messages call the columns that are not kept.
func (h *header) dropped() []string {
	var names []string
	for i, name := range h.names {
		if reportColumns[normalise(name)] {
			names = append(names, label(name, i+1))
		}
	}
	return names
}
