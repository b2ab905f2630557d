package tasks

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// layout says how to read the stored sources of a batch again. It is kept with
// the batch, as JSON.
type layout struct {
	Version  int          `json:"version"`
	Files    []layoutFile `json:"files"`
	Action   string       `json:"action,omitempty"`
	CallID   string       `json:"call_id,omitempty"`
	TenantID string       `json:"tenant_id,omitempty"`
}

// layoutVersion is how sources are written.
const layoutVersion = 2

type layoutFile struct {
	Name    string   `json:"name"`
	Columns []string `json:"columns"`
}

func newLayout(files []roster.File, o roster.Options) layout {
	l := layout{Version: layoutVersion, CallID: o.CallID, TenantID: o.TenantID, Action: o.Action.String()}
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
	if l.Version != layoutVersion {
		return nil, fmt.Errorf("batch %s: %w", b.ID, errCompact)
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

// appendSource writes a row: file, line and number of cells as varints, then each
// cell, compact. above are the cells of the row before it in the bucket.
func appendSource(b []byte, r roster.Record, above []string) []byte {
	b = binary.AppendUvarint(b, uint64(r.File))
	b = binary.AppendUvarint(b, uint64(r.Line))
	b = binary.AppendUvarint(b, uint64(len(r.Cells)))
	for i, c := range r.Cells {
		b = appendText(b, c, at(above, i))
	}
	return b
}

// at is a text of the row above, "" where it has none.
func at(above []string, i int) string {
	if i < len(above) {
		return above[i]
	}
	return ""
}

// Rows reads what a bucket stores, in order.
func (s *Sources) Rows(source []byte) ([]SourceRow, error) {
	rows := make([]SourceRow, 0, ledger.BucketRows)
	r := compactReader{rest: source}
	var above []string
	for len(r.rest) > 0 {
		row := SourceRow{File: int(r.number(math.MaxInt32)), Line: int(r.number(math.MaxInt32))}
		n := r.number(uint64(len(r.rest)))
		if r.err != nil || row.File >= len(s.Files) || n > int64(len(r.rest)) {
			return nil, errCompact
		}
		extra := s.extra[row.File]
		row.Cells = make([]string, n, int(n)+len(extra))
		for i := range row.Cells {
			row.Cells[i] = r.text(at(above, i))
		}
		if r.err != nil {
			return nil, r.err
		}
		above = row.Cells
		row.Cells = append(row.Cells, extra...)
		rows = append(rows, row)
	}
	return rows, nil
}

// Change rebuilds what a stored row, the batch's n-th, asks for.
func (s *Sources) Change(n int64, r SourceRow) (roster.Change, error) {
	c, bad := s.schemas[r.File].Change(r.Cells)
	if len(bad) > 0 {
		return c, fmt.Errorf("row %d: %w", n, errCompact)
	}
	c.Row = n
	return c, nil
}
