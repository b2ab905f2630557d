package roster

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestEscapeCell(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "plain": "plain", "a=b": "a=b", "'quoted'": "'quoted'", "'": "'",
		"=1+1": "'=1+1", "@x": "'@x", "-x": "'-x", "+x": "'+x", "\tx": "'\tx", "\rx": "'\rx", "=": "'=",
		"+14255550100": "+14255550100", "-3.5": "-3.5", "+12": "+12", "-3": "-3",
		"-3+4": "'-3+4", "-1e5": "'-1e5", "-.5": "'-.5", "-3.": "'-3.", "+1 425": "'+1 425", "-": "'-",
		"'=1": "''=1", "''-x": "'''-x",
	} {
		got := EscapeCell(s)
		if got != want {
			t.Errorf("EscapeCell(%q) = %q, want %q", s, got, want)
		}
		if back := UnescapeCell(got); back != s {
			t.Errorf("UnescapeCell(%q) = %q, want %q", got, back, s)
		}
	}
	if got := UnescapeCell("'+14255550100"); got != "+14255550100" {
		t.Errorf("a guarded phone is %q", got)
	}
}

func TestUnionColumns(t *testing.T) {
	columns, index := UnionColumns([]File{
		{Columns: []string{"action", "User ID", "Note", "", ""}},
		{Columns: []string{"note", "Operation", "team", "object_id", ""}},
		{},
	})
	equal(t, columns, []string{"action", "User ID", "Note", "", "", "team"})
	want := [][]int{{0, 1, 2, 3, 4}, {2, 0, 5, 1, 3}, {}}
	if !slices.EqualFunc(index, want, slices.Equal[[]int]) {
		t.Errorf("got %v, want %v", index, want)
	}
}

func TestRejects(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "a.csv", "action,call_id,user_id,Note\ndelete,c,u,\nkick,c d,v,'=1\n\"delete\",c,Doe, Jane,x\n")
	write(t, "b.csv", "source,Operation,call_id,object_id,team\nold:1,delete,c,,red\n")
	in := open(t, "a.csv", "b.csv")
	o := Options{SkipInvalid: true}
	sum, err := in.Check(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	rejects := NewRejects(&out, sum.Files)
	if err := errors.Join(in.Each(t.Context(), o, func(Record) error { return nil }, rejects.Write), rejects.Flush()); err != nil {
		t.Fatal(err)
	}
	want := `source,action,call_id,user_id,Note,team,error
a.csv:3,kick,c d,v,'=1,,"action: not a known action: write invite (or add), delete (or remove); call_id: has white space inside: write one id, without spaces"
a.csv:4,"delete, c, Doe, Jane, x",,,,,"record: 5 fields, but the header has 4: quote cells that contain a delimiter or a quote"
b.csv:2,delete,c,,,red,"user_id: blank: a delete needs a participant_id, or one of user_id, phone, application_id, guest_id"
`
	if out.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", out.String(), want)
	}

	// As it is it is no better than before; mended, it is good.
	if got := problems(t, openText(t, want), Options{}); len(got) != 5 {
		t.Errorf("read again: %q", got)
	}
	mended := strings.NewReplacer("kick", "add", "c d", "c", `"delete, c, Doe, Jane, x",,`, "delete,c,x", "delete,c,,", "delete,c,w,").Replace(want)
	list, _ := rows(t, openText(t, mended), Options{})
	equal(t, briefs(list), []string{"1@2 invite /c user:v", "2@3 delete /c user:x", "3@4 delete /c user:w"})
	if list[0].cells != "add|c|v|=1|" {
		t.Errorf("cells %q", list[0].cells)
	}
}

func TestWriterErrors(t *testing.T) {
	full := errors.New("disk full")
	r := NewRejects(writerFunc(func([]byte) (int, error) { return 0, full }), []File{{Name: "a", Columns: []string{"x"}}})
	row := Invalid{Cells: []string{strings.Repeat("x", 10_000)}}
	if err := errors.Join(r.Write(row), r.Flush()); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
