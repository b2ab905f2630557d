package roster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
)

// FuzzReader reads anything. It must end in a summary or an InvalidError, both
// passes must agree, ids must be fit for an address, and what was rejected must
// be written and read again.
func FuzzReader(f *testing.F) {
	for _, text := range []string{
		"", one, two, head + "delete,c,u,,,\ndelete,c\nx,y,z,,,\n", one + "\"", one + "a\"b,c,d\n",
		"\xef\xbb\xbf" + strings.ReplaceAll(one, ",", ";"), utf16(unicode.LittleEndian, one), gz(two), gz(two)[:30],
		"action,call_id,user_id,n\r\ndelete,c,u,\"x\ny\"\r\n", "action,call_id,user_id\rdelete,c,u\r", "PK\x03\x04",
		"row,source,action,call_id,user_id,error\n1,a:2,delete,c,'=u,\n2,a:3,delete,c d,u,\n", head + strings.Repeat("x", 3000),
	} {
		f.Add([]byte(text))
	}
	o := Options{SkipInvalid: true, Limits: Limits{Record: 2048, Cell: 512, Columns: 16, Rows: 500, Bytes: 1 << 18}}
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := Open([]string{"-"}, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		ctx := context.Background()
		sum, err := in.Check(ctx, o)
		if invalid := (*InvalidError)(nil); errors.As(err, &invalid) {
			checkErrors(t, invalid.Errors)
		} else if err != nil {
			t.Fatal(err)
		}
		if sum == nil {
			return
		}
		if sum.Rejected > 0 {
			checkErrors(t, sum.Errors)
		}
		var good, bad int64
		var out bytes.Buffer
		rejects := NewRejects(&out, sum.Files)
		row := func(r Record) error {
			c := r.Change
			if good++; c.Row != good || len(c.Keys()) == 0 || c.CallID == "" || c.Action == 0 || c.Action == Invite && c.Kind == NoIdentity {
				t.Errorf("row %d: %+v", good, c)
			}
			for _, id := range []string{c.TenantID, c.CallID, c.ParticipantID, c.ID, c.ReplacesCallID} {
				if len(id) > maxID || id == "." || id == ".." || strings.ContainsAny(id, "/\\?#% \t\r\n\x00") || !utf8.ValidString(id) {
					t.Errorf("row %d has the id %q", good, id)
				}
			}
			if c.Kind == Phone && !isPhone(c.ID) || utf8.RuneCountInString(c.DisplayName) > maxDisplayName {
				t.Errorf("row %d: %+v", good, c)
			}
			if len(r.Cells) != len(sum.Files[0].Columns) || r.Line < 2 {
				t.Errorf("row %d at line %d has %d cells", good, r.Line, len(r.Cells))
			}
			return nil
		}
		err = in.Each(ctx, o, row, func(r Invalid) error { bad++; return rejects.Write(r) })
		if err := errors.Join(err, rejects.Flush()); err != nil {
			t.Fatal(err)
		}
		if good != sum.Rows || bad != sum.Rejected {
			t.Errorf("%d and %d rows, checked %d and %d", good, bad, sum.Rows, sum.Rejected)
		}
		readAgain(t, out.Bytes(), bad)
	})
}

// readAgain checks that a rejects file has all rows, and none of them good.
func readAgain(t *testing.T, text []byte, want int64) {
	in, err := Open([]string{"-"}, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	sum, err := in.Check(context.Background(), Options{SkipInvalid: true})
	if want > 0 && (sum == nil || sum.Rejected+sum.Rows != want) {
		t.Errorf("of %d rejected rows: %+v, %v\n%s", want, sum, err, text)
	}
}

func checkErrors(t *testing.T, errs []Error) {
	if len(errs) == 0 || len(errs) > defaultMaxErrors+1 {
		t.Errorf("invalid, but %d errors", len(errs))
	}
	for _, e := range errs {
		// The longest have a column's name, cut.
		if (e.Line == 0) != (e.Column == 0) || e.Message == "" || len(e.Message) > 1<<10 || !utf8.ValidString(e.Message) || strings.ContainsAny(e.Message, "\n\r\x00") {
			t.Errorf("error %+v", e)
		}
	}
}

// FuzzHeader makes schemas of any column names. With the columns that options
// stand in for, a header must do without them.
func FuzzHeader(f *testing.F) {
	for _, names := range []string{
		"action,call_id,user_id", "Operation,Call ID,OBJECT-ID,note", "user_id,object_id", "", ",,,", "a_c-t i\u00a0on,callid,phone number",
		"row,source,outcome", "\xff,action,call_id,guest_id", "İ,ſource",
	} {
		f.Add(names, true)
		f.Add(names, false)
	}
	f.Fuzz(func(t *testing.T, names string, given bool) {
		columns := strings.Split(names, ",")
		var o Options
		if given {
			o = Options{Action: Delete, CallID: "c", TenantID: "t"}
		}
		s, err := NewSchema(columns, o)
		if err != nil {
			var bad *HeaderError
			if !errors.As(err, &bad) || len(bad.Errors) == 0 {
				t.Fatalf("got %v", err)
			}
			for _, e := range bad.Errors {
				if e.Column < 0 || e.Column > len(columns) || e.Name == "" || !utf8.ValidString(e.Error()) {
					t.Errorf("error %+v", e)
				}
			}
			return
		}
		if _, errs := s.Change(make([]string, len(columns))); len(errs) == 0 {
			t.Error("a blank row is good")
		}
		extra, values := s.StandIns()
		if _, err := NewSchema(slices.Concat(columns, extra), Options{}); err != nil || len(values) != len(extra) {
			t.Errorf("with %q: %v", extra, err)
		}
		union, index := UnionColumns([]File{{Columns: columns}, {Columns: columns}})
		if !slices.Equal(union, columns) || !slices.Equal(index[0], index[1]) || len(index[0]) != len(columns) {
			t.Errorf("the union of a header with itself: %q, %v", union, index)
		}
		for i, name := range columns {
			if l := label(name, i+1); l == "" || utf8.RuneCountInString(l) > 41 || !utf8.ValidString(l) || strings.ContainsAny(l, "\n\r\x00") {
				t.Errorf("label %q", l)
			}
		}
	})
}

// FuzzEscape checks that escaping is safe and can be undone, alone and through
// a file.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "=1", "'=1", "''", "+14255550100", "-3.5", "\t=", "a\"b", " x ", "a\r\nb", "'\r"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		escaped := EscapeCell(s)
		if UnescapeCell(escaped) != s {
			t.Errorf("%q became %q became %q", s, escaped, UnescapeCell(escaped))
		}
		if escaped != "" && strings.IndexByte(formulaStart, escaped[0]) >= 0 && !isPhone(s) && !isNumber(s) {
			t.Errorf("%q is not safe", escaped)
		}
		// What reading made of a cell stays the same through write and read.
		cell := strings.ReplaceAll(clean(s), "\r\n", "\n")
		if !utf8.ValidString(cell) || strings.ContainsAny(cell, "\x00\r") || len(cell) > 1<<10 {
			return
		}
		var out bytes.Buffer
		w := NewWriter(&out)
		if err := errors.Join(w.Write("user_id", "x"), w.Write("u", cell), w.Flush()); err != nil {
			t.Fatal(err)
		}
		in, err := Open([]string{"-"}, io.Reader(&out))
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		list, _ := rows(t, in, Options{Action: Delete, CallID: "c"})
		if want := "u|" + cell; list[0].cells != want {
			t.Errorf("got %q, want %q", list[0].cells, want)
		}
	})
}
