// Package report writes what became of a batch, row by row, next to the
// original columns: the ledger's rows joined with their sources. It streams. It says
// what Graph's answers mean to people, and must not know commands, the queue, or how
// Graph is asked.
package report

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"rollcall/internal/ledger"
	"rollcall/internal/roster"
	"rollcall/internal/tasks"
)

// Only are the words that choose rows for a report.
func Only() []string { return []string{"done", "skipped", "failed", "pending", "all"} }

// Formats are the formats of a report.
func Formats() []string { return []string{"csv", "json", "html"} }

// Columns around the original ones.
var (
	before = []string{"row", "source"}
	after  = []string{"outcome", "detail", "status", "code", "request_id", "attempts", "finished_at"}
)

// Write writes the rows of a batch that only chooses (one of Only), in order,
// in a format of Formats. The page of HTML is about the whole batch and lists
// failed rows only, whatever only says.
func Write(ctx context.Context, w io.Writer, l *ledger.Ledger, b ledger.Batch, format, only string) error {
	if !slices.Contains(Only(), only) || !slices.Contains(Formats(), format) {
		return fmt.Errorf("report: no such choice of rows or format: %q, %q", only, format)
	}
	if format == "html" {
		return HTML(ctx, w, l, b)
	}
	sources, err := tasks.SourcesOf(b)
	if err != nil {
		return err
	}
	columns, index := roster.UnionColumns(sources.Files)
	header := slices.Concat(before, columns, after)
	var out sink
	if format == "csv" {
		out, err = newCSV(w, header)
	} else {
		out, err = newJSON(w, header)
	}
	if err != nil {
		return err
	}
	cells := make([]string, len(header))
	_, err = rows(ctx, l, b, sources, Filter{Outcome: group(only)}, func(e Entry) error {
		clear(cells)
		cells[0] = strconv.FormatInt(e.N, 10)
		if e.Stored {
			cells[1] = e.File.Name + ":" + strconv.Itoa(e.Line)
			for j, c := range e.Cells {
				if j < len(index[e.file]) {
					cells[len(before)+index[e.file][j]] = c
				}
			}
		}
		result(cells[len(cells)-len(after):], e.Row)
		return out.write(cells)
	})
	if err != nil {
		return err
	}
	return out.end()
}

// group is what the word only takes; nil is everything.
func group(only string) func(ledger.Outcome) bool {
	if only == "all" {
		return nil
	}
	return func(o ledger.Outcome) bool { return o.Group().String() == only }
}

// result fills the columns after the original ones.
func result(cells []string, r ledger.Row) {
	cells[0], cells[1] = r.Outcome.String(), r.Detail
	if r.Status != 0 {
		cells[2] = strconv.Itoa(r.Status)
	}
	cells[3], cells[4], cells[5] = r.Code, r.RequestID, strconv.Itoa(r.Attempts)
	if r.Outcome != ledger.Pending {
		cells[6] = r.At.UTC().Format(time.RFC3339Nano)
	}
}

// sink is a format.
type sink interface {
	write(cells []string) error
	end() error
}

type csvSink struct{ w *roster.Writer }

func newCSV(w io.Writer, header []string) (sink, error) {
	s := csvSink{roster.NewWriter(w)}
	return s, s.write(header)
}

func (s csvSink) write(cells []string) error { return s.w.Write(cells...) }
func (s csvSink) end() error                 { return s.w.Flush() }

// jsonSink writes one array of objects, a line each, with their members in the
// order of the columns. Numbers are the report's own: row, status, attempts.
type jsonSink struct {
	w       *bufio.Writer
	names   [][]byte
	numbers map[int]bool
	rows    int
}

func newJSON(w io.Writer, header []string) (sink, error) {
	s := &jsonSink{w: bufio.NewWriter(w), numbers: map[int]bool{0: true, len(header) - 5: true, len(header) - 2: true}}
	for _, h := range header {
		name, err := json.Marshal(h)
		if err != nil {
			return nil, err
		}
		s.names = append(s.names, name)
	}
	_, err := s.w.WriteString("[")
	return s, err
}

func (s *jsonSink) write(cells []string) error {
	line := []byte(",\n{")
	if s.rows == 0 {
		line = line[1:]
	}
	s.rows++
	for i, c := range cells {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(append(line, s.names[i]...), ':')
		switch {
		case s.numbers[i] && c == "":
			line = append(line, "null"...)
		case s.numbers[i]:
			line = append(line, c...)
		default:
			text, err := json.Marshal(c)
			if err != nil {
				return err
			}
			line = append(line, text...)
		}
	}
	_, err := s.w.Write(append(line, '}'))
	return err
}

func (s *jsonSink) end() error {
	if _, err := s.w.WriteString("\n]\n"); err != nil {
		return err
	}
	return s.w.Flush()
}
