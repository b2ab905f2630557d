package roster

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"
)

// write makes a file in a temporary directory that is the working directory
// of the test, so that messages have short names.
func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, names ...string) *Input {
	t.Helper()
	in, err := Open(names, strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	})
	return in
}

// openText opens one file, r.csv, with this text.
func openText(t testing.TB, text string) *Input {
	t.Helper()
	name := filepath.Join(t.TempDir(), "r.csv")
	write(t, name, text)
	in := open(t, name)
	in.sources[0].name = "r.csv"
	return in
}

// seen is a record, kept.
type seen struct {
	change     Change
	file, line int
	cells      string // joined with |
}

// rows checks the input and collects what Each hands out.
func rows(t testing.TB, in *Input, o Options) ([]seen, *Summary) {
	t.Helper()
	sum, err := in.Check(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	var list []seen
	err = in.Each(context.Background(), o, func(r Record) error {
		list = append(list, seen{r.Change, r.File, r.Line, strings.Join(r.Cells, "|")})
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return list, sum
}

// brief writes a change in one short line.
func (s seen) brief() string {
	c := s.change
	return fmt.Sprintf("%d@%d %s %s %s", c.Row, s.line, c.Action, c.CallKey(), strings.Join(c.Keys(), "+"))
}

func briefs(list []seen) []string {
	var out []string
	for _, s := range list {
		out = append(out, s.brief())
	}
	return out
}

func equal(t testing.TB, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// problems returns the errors of an input that must be invalid, as text.
func problems(t testing.TB, in *Input, o Options) []string {
	t.Helper()
	_, err := in.Check(context.Background(), o)
	var invalid *InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v, want an InvalidError", err)
	}
	var out []string
	for _, e := range invalid.Errors {
		out = append(out, e.Error())
	}
	if invalid.More > 0 {
		out = append(out, fmt.Sprintf("+%d", invalid.More))
	}
	return out
}

func gz(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}

func utf16(order unicode.Endianness, text string) string {
	s, err := unicode.UTF16(order, unicode.UseBOM).NewEncoder().String(text)
	if err != nil {
		panic(err)
	}
	return s
}
