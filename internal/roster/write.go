package roster

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
)

// Writer writes CSV for people: comma-separated UTF-8 whose cells are safe to
// open in a spreadsheet, see [EscapeCell]. Each record is written whole or, on
// an error, the Writer is of no more use.
type Writer struct {
	csv   *csv.Writer
	cells []string
}

// NewWriter returns a Writer. It buffers: call Flush at the end.
func NewWriter(w io.Writer) *Writer { return &Writer{csv: csv.NewWriter(w)} }

// Write writes one record.
func (w *Writer) Write(cells ...string) error {
	w.cells = w.cells[:0]
	for _, c := range cells {
		w.cells = append(w.cells, EscapeCell(c))
	}
	return w.csv.Write(w.cells)
}

// Flush writes what is buffered. Its error is the first there was.
func (w *Writer) Flush() error {
	w.csv.Flush()
	return w.csv.Error()
}

// Rejects writes the rows with errors: where each came from, its original
// columns, and what is wrong. The result can be mended and read as input.
type Rejects struct {
	w     *Writer
	files []File
	index [][]int
	cells []string
	err   error // of the header
}

// NewRejects starts a rejects file for the files of a [Summary] and writes its
// header. It buffers: call Flush at the end.
func NewRejects(w io.Writer, files []File) *Rejects {
	columns, index := UnionColumns(files)
	r := &Rejects{
		w:     NewWriter(w),
		files: files,
		index: index,
		cells: make([]string, len(columns)+2),
	}
	r.cells[0], r.cells[len(r.cells)-1] = "source", "error"
	copy(r.cells[1:], columns)
	r.err = r.w.Write(r.cells...)
	return r
}

// Write adds a row.
func (r *Rejects) Write(row Invalid) error {
	if r.err != nil {
		return r.err
	}
	clear(r.cells)
	r.cells[0] = fmt.Sprintf("%s:%d", r.files[row.File].Name, row.Line)
	for i, at := range r.index[row.File] {
		r.cells[1+at] = row.Cells[i]
	}
	messages := make([]string, len(row.Errors))
	for i, e := range row.Errors {
		messages[i] = e.Message
	}
	r.cells[len(r.cells)-1] = strings.Join(messages, "; ")
	return r.w.Write(r.cells...)
}

// Flush writes what is buffered. Its error is the first there was.
func (r *Rejects) Flush() error {
	if r.err != nil {
		return r.err
	}
	return r.w.Flush()
}
