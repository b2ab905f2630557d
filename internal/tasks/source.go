package tasks

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// layout says how to read the stored sources of a batch again. It is kept with
// the batch, as JSON.
type layout struct {
	Files    []layoutFile `json:"files"`
	Action   string       `json:"action,omitempty"`
	CallID   string       `json:"call_id,omitempty"`
	TenantID string       `json:"tenant_id,omitempty"`
}

type layoutFile struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

func newLayout(files []roster.File, o roster.Options) layout {
	l := layout{CallID: o.CallID, TenantID: o.TenantID, Action: o.Action.String()}
	for _, f := range files {
		l.Files = append(l.Files, layoutFile{Name: f.Name, Columns: f.Columns})
	}
	return l
}

// Sources reads the stored sources of one batch.
type Sources struct {
	// Files are the files with their columns, and those that options stood in for.
	Files   []roster.File
	schemas []*roster.Schema
	extra   [][]string // the cells of the latter, by file
}

// SourcesOf returns the reader for a batch's sources.
func SourcesOf(b ledger.Batch) (*Sources, error) {
	var l layout
	if err := json.Unmarshal(b.Layout, &l); err != nil {
		return nil, fmt.Errorf("layout of batch %s: %w", b.ID, err)
	}
	o := roster.Options{CallID: l.CallID, TenantID: l.TenantID}
	if l.Action != "" {
		var err error
		if o.Action, err = roster.ParseAction(l.Action); err != nil {
			return nil, fmt.Errorf("layout of batch %s: %w", b.ID, err)
		}
	}
	s := &Sources{}
	for _, f := range l.Files {
		schema, err := roster.NewSchema(f.Columns, o)
		if err != nil {
			return nil, fmt.Errorf("layout of batch %s: %w", b.ID, err)
		}
		names, values := schema.StandIns()
		columns := slices.Concat(f.Columns, names)
		if schema, err = roster.NewSchema(columns, o); err != nil {
			return nil, fmt.Errorf("layout of batch %s: %w", b.ID, err)
		}
		s.Files = append(s.Files, roster.File{Name: f.Name, Columns: columns})
		s.schemas = append(s.schemas, schema)
		s.extra = append(s.extra, values)
	}
	return s, nil
}

// SourceRow is a row as it stood in its file.
type SourceRow struct {
	File, Line int
	Cells      []string
}

// appendSource writes a row: file, line and number of cells as varints, then
// each cell with its length.
func appendSource(b []byte, r roster.Record) []byte {
	b = binary.AppendUvarint(b, uint64(r.File))
	b = binary.AppendUvarint(b, uint64(r.Line))
	b = binary.AppendUvarint(b, uint64(len(r.Cells)))
	for _, c := range r.Cells {
		b = binary.AppendUvarint(b, uint64(len(c)))
		b = append(b, c...)
	}
	return b
}

var errSource = errors.New("the stored source of a batch cannot be read: it was written by another version")

// Rows reads what a bucket stores, in order.
func (s *Sources) Rows(source []byte) ([]SourceRow, error) {
	rows := make([]SourceRow, 0, ledger.BucketRows)
	text := string(source)
	num := func() (int, error) {
		v, n := binary.Uvarint(source)
		if n <= 0 || v > 1<<31 {
			return 0, errSource
		}
		source, text = source[n:], text[n:]
		return int(v), nil
	}
	for len(source) > 0 {
		var head [3]int
		for i := range head {
			var err error
			if head[i], err = num(); err != nil {
				return nil, err
			}
		}
		r := SourceRow{File: head[0], Line: head[1]}
		if r.File >= len(s.Files) || head[2] > len(source) {
			return nil, errSource
		}
		r.Cells = make([]string, head[2], head[2]+len(s.extra[r.File]))
		for i := range r.Cells {
			n, err := num()
			if err != nil {
				return nil, err
			}
			if n > len(text) {
				return nil, errSource
			}
			r.Cells[i] = text[:n]
			source, text = source[n:], text[n:]
		}
		r.Cells = append(r.Cells, s.extra[r.File]...)
		rows = append(rows, r)
	}
	return rows, nil
}

// change rebuilds what a stored row asks for.
func (s *Sources) change(n int64, r SourceRow) (roster.Change, error) {
	c, bad := s.schemas[r.File].Change(r.Cells)
	if len(bad) > 0 {
		return c, fmt.Errorf("row %d: %w", n, errSource)
	}
	c.Row = n
	return c, nil
}
