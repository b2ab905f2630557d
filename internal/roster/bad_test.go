package roster

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"
)

// head is the header most bad files have; its target is field 3.
const head = "action,call_id,user_id,phone,participant_id,display_name\n"

// TestBadFiles has the exact text of every error there is. Each message is
// given up to its hint, or whole.
func TestBadFiles(t *testing.T) {
	long := strings.Repeat("x", 300)
	const oneOf = "user_id, phone, application_id, guest_id"
	tests := []struct {
		name, text string
		o          Options
		want       []string
	}{
		// Whole files.
		{"empty", "", Options{}, []string{"r.csv: empty: the first line must name the columns"}},
		{"blank lines only", "\n\r\n \t \n", Options{}, []string{"r.csv: empty: the first line must name the columns"}},
		{"delimiters only", ",,,\n,,,\n", Options{}, []string{"r.csv: empty: the first line must name the columns"}},
		{"byte order mark only", "\xef\xbb\xbf", Options{}, []string{"r.csv: empty: the first line must name the columns"}},
		{"header only", head, Options{}, []string{"r.csv: no rows below the header"}},
		{"header without line end", strings.TrimSpace(head), Options{}, []string{"r.csv: no rows below the header"}},
		{"header and blank rows", head + ",,,,,\n   \n", Options{}, []string{"r.csv: no rows below the header"}},
		{"CR line ends", "action,call_id,user_id\rdelete,c,u\rdelete,c,v\r", Options{}, []string{"r.csv: lines end in CR only: save"}},
		{"zip", "PK\x03\x04\x14\x00", Options{}, []string{"r.csv: a zip archive or an Excel workbook, not a CSV: export the sheet as CSV"}},
		{"old workbook", "\xd0\xcf\x11\xe0\xa1\xb1", Options{}, []string{"r.csv: an Excel workbook, not a CSV: export"}},
		{"zstd", "\x28\xb5\x2f\xfdabc", Options{}, []string{"r.csv: compressed with zstd: unpack it"}},
		{"bzip2", "BZh91AY", Options{}, []string{"r.csv: compressed with bzip2: unpack it"}},
		{"xz", "\xfd7zXZ\x00", Options{}, []string{"r.csv: compressed with xz: unpack it"}},
		{"pdf", "%PDF-1.7", Options{}, []string{"r.csv: a PDF, not a CSV: export"}},
		{"utf-32", "\xff\xfe\x00\x00a\x00\x00\x00", Options{}, []string{"r.csv: in UTF-32: save it"}},
		{"utf-16 without mark", "a\x00c\x00", Options{}, []string{"r.csv: has NUL bytes: save it as UTF-8"}},
		{"binary", "\x7fELF\x02\x01", Options{}, []string{"r.csv: not a text file: export"}},
		{"gzip cut short", gz(head + "delete,c,u,,,\n")[:40], Options{}, []string{"r.csv: the gzip data ends too early: the file is incomplete"}},
		{"gzip cut in its header", gz(head)[:5], Options{}, []string{"r.csv: the gzip data ends too early: the file is incomplete"}},
		{"gzip damaged", gz(head + "delete,c,u,,,\n")[:20] + "\xff\xff\xff\xff" + gz(head + "delete,c,u,,,\n")[24:], Options{}, []string{"r.csv: the gzip data is damaged: copy"}},
		{"gzip and more", gz(head+"delete,c,u,,,\n") + "more of it", Options{}, []string{"r.csv: the gzip data is damaged: copy"}},
		{"gzip twice", gz(gz(head)), Options{}, []string{"r.csv: compressed twice: unpack it once"}},
		{"gzip of a zip", gz("PK\x03\x04"), Options{}, []string{"r.csv: a zip archive or an Excel workbook, not"}},
		{"gzip bomb", gz(head + strings.Repeat("\n", 1<<20)), Options{Limits: Limits{Bytes: 1 << 16}}, []string{"r.csv: the input is larger than 64 KiB unpacked: split it"}},
		{"too many rows", head + strings.Repeat("delete,c,u,,,\n", 4), Options{Limits: Limits{Rows: 3}}, []string{"r.csv: the input has more than 3 rows: split it"}},

		// Headers.
		{"no action", "call_id,user_id\nc,u\n", Options{}, []string{"r.csv: action: no such column: name it in the first line, or give --action"}},
		{"no call", "action,user_id\ndelete,u\n", Options{}, []string{"r.csv: call_id: no such column: name it in the first line, or give --call-id"}},
		{"no target", "action,call_id,name\ndelete,c,x\n", Options{}, []string{"r.csv: participant_id: no column says who: add one of participant_id, " + oneOf}},
		{"no header", "delete,c,u\ndelete,c,v\n", Options{}, []string{
			"r.csv: action: no such column: ", "r.csv: call_id: no such column: ", "r.csv: participant_id: no column says who"}},
		{"column twice", "action,call_id,user_id,Call-ID\ndelete,c,u,c\n", Options{}, []string{`r.csv:1:4: call_id: a second call_id column, after "call_id": keep one of them`}},
		{"column and alias", "\n\naction,call_id,user_id,note,Object ID\ndelete,c,u,,u\n", Options{}, []string{`r.csv:3:5: user_id: a second user_id column, after "user_id": keep one`}},
		{"column twice after dropped ones", "row,source,action,call_id,user_id,operation\n1,f:1,delete,c,u,delete\n", Options{}, []string{`r.csv:1:6: action: a second action column, after "action": keep one`}},
		{"header not UTF-8", "action,call_id,user_id,caf\xe9\ndelete,c,u,x\n", Options{}, []string{"r.csv:1:4: header: not UTF-8: save the file as UTF-8 or Unicode text"}},
		{"too many columns", head + "x\n", Options{Limits: Limits{Columns: 4}}, []string{"r.csv:1:5: header: 6 columns, more than 4: export only"}},
		{"quote in the header", "action,call\"_id,user_id\nx,y,z\n", Options{}, []string{"r.csv:1:2: header: a quote inside a cell that is not quoted: quote"}},

		// Records.
		{"too few fields", head + "delete,c\n", Options{}, []string{"r.csv:2:3: record: 2 fields, but the header has 6: quote cells"}},
		{"one field", head + "delete\n", Options{}, []string{"r.csv:2:2: record: 1 field, but the header has 6: quote cells"}},
		{"too many fields", head + "delete,c,u,,,Doe, Jane\n", Options{}, []string{"r.csv:2:7: record: 7 fields, but the header has 6: quote cells"}},
		{"bare quote", head + "delete,c,u,,,\ndelete,c,5\" u,,,\nbad,,\n", Options{}, []string{"r.csv:3:3: user_id: a quote inside a cell that is not quoted: quote the whole cell"}},
		{"text after quote", head + "delete,c,\"u\" x,,,\n", Options{}, []string{"r.csv:2:3: user_id: a quoted cell is not closed, or is followed by text: double"}},
		{"open quote", head + "delete,c,u,,,\n\"delete,c,u,,,\ndelete,c,u,,,\n", Options{}, []string{"r.csv:3:1: action: a quoted cell is not closed, or is followed by text: double"}},
		{"long record", head + "delete,c,u,,,\ndelete,c,u,,," + long + "\n", Options{Limits: Limits{Record: 128}}, []string{"r.csv:3:6: display_name: record is longer than 128 bytes: look for a missing quote"}},
		{"long open quote", head + "delete,c,\"u\n" + long + "\n", Options{Limits: Limits{Record: 128}}, []string{"r.csv:2:3: user_id: record is longer than 128 bytes: look for"}},
		{"long header", "action," + long + "\n", Options{Limits: Limits{Record: 128}}, []string{"r.csv:1:2: header: record is longer than 128 bytes: look for"}},
		{"error before and after", head + "bad,c,u,,,\ndelete,c,u\"u,,,\n", Options{}, []string{"r.csv:2:1: action: not a known action: write invite (or add), delete (or remove)", "r.csv:3:3: user_id: a quote inside"}},

		// Cells.
		{"unknown action", head + "Jane,c,u,,,\n", Options{}, []string{"r.csv:2:1: action: not a known action: write invite (or add), delete (or remove)"}},
		{"blank action", head + " ,c,u,,,\n", Options{}, []string{"r.csv:2:1: action: blank: write invite or delete"}},
		{"blank call", head + "delete,,u,,,\n", Options{CallID: "c"}, []string{"r.csv:2:2: call_id: blank: write the id of the call"}},
		{"delete nobody", head + "delete,c,,,,Jane\n", Options{}, []string{"r.csv:2:3: user_id: blank: a delete needs a participant_id, or one of " + oneOf}},
		{"invite nobody", head + "invite,c,,,p,Jane\n", Options{}, []string{"r.csv:2:3: user_id: blank: an invite needs one of " + oneOf}},
		{"invite by participant", "action,call_id,participant_id\ninvite,c,p\n", Options{}, []string{"r.csv:2:3: participant_id: not enough: an invite needs one of " + oneOf}},
		{"two identities", head + "delete,c,u,+14255550100,,\n", Options{}, []string{"r.csv:2:4: phone: a second identity in one row: keep one of " + oneOf}},
		{"space in id", head + "delete,c d,u,,,\n", Options{}, []string{"r.csv:2:2: call_id: has white space inside: write one id"}},
		{"line break in id", head + "delete,c,\"u\nv\",,,\ndelete,c d,u,,,\n", Options{}, []string{"r.csv:2:3: user_id: has white space inside: write one id", "r.csv:4:2: call_id: has white"}},
		{"path in id", head + "delete,c,u/v,,,\n", Options{}, []string{`r.csv:2:3: user_id: has one of / \ ? # %: write the id alone, not an address`}},
		{"percent in id", head + "delete,c,,,u%2Fv,\n", Options{}, []string{`r.csv:2:5: participant_id: has one of / \ ? # %: write`}},
		{"dots", head + "delete,..,u,,,\n", Options{}, []string{"r.csv:2:2: call_id: not an id: write the id alone"}},
		{"dot", head + "delete,c,.,,,\n", Options{}, []string{"r.csv:2:3: user_id: not an id: write the id alone"}},
		{"long id", head + "delete,c," + long + ",,,\n", Options{}, []string{"r.csv:2:3: user_id: longer than 256 bytes: look for shifted columns"}},
		{"invisible character", head + "delete,c,u\u200bv,,,\n", Options{}, []string{"r.csv:2:3: user_id: has an invisible character: type the id again"}},
		{"mark inside the file", head + "\ufeffdelete,\ufeffc,u,,,\n", Options{}, []string{"r.csv:2:1: action: not a known", "r.csv:2:2: call_id: has an invisible character: type"}},
		{"control character", head + "delete,c,u\x07v,,,\n", Options{}, []string{"r.csv:2:3: user_id: has a control character: type the id again"}},
		{"damaged character", head + "delete,c,u\ufffdv,,,\n", Options{}, []string{"r.csv:2:3: user_id: has a damaged character: export the file again as UTF-8"}},
		{"NUL", head + "delete,c,u\x00v,,,\n", Options{}, []string{"r.csv:2:3: user_id: has a NUL byte: save the file as UTF-8 or Unicode text"}},
		{"not UTF-8", head + "invite,c,u,,,Ren\xe9\n", Options{}, []string{"r.csv:2:6: display_name: not UTF-8: save the file as UTF-8 or Unicode text"}},
		{"not UTF-8 in another column", "action,call_id,user_id,Notes\ndelete,c,u,Ren\xe9\n", Options{}, []string{"r.csv:2:4: Notes: not UTF-8: save the file"}},
		{"column without name", "action,call_id,user_id,\ndelete,c,u,Ren\xe9\n", Options{}, []string{"r.csv:2:4: field 4: not UTF-8: save the file"}},
		{"broken UTF-16", utf16(unicode.LittleEndian, head+"delete,c,u") + "\x00\xd8v\x00,\x00,\x00,\x00\n\x00", Options{}, []string{"r.csv:2:3: user_id: has a damaged character: export"}},
		{"long cell", "action,call_id,user_id,n\ndelete,c,u," + long + "\n", Options{Limits: Limits{Cell: 256}}, []string{"r.csv:2:4: n: longer than 256 bytes: shorten it"}},
		{"phone without plus", head + "invite,c,,14255550100,,\n", Options{}, []string{"r.csv:2:4: phone: not a phone number in E.164 form: write + and 7 to 15 digits, country code first, like +14255550100"}},
		{"phone with spaces", head + "invite,c,,+1 425 555 0100,,\n", Options{}, []string{"r.csv:2:4: phone: not a phone number in E.164 form: write"}},
		{"phone too short", head + "invite,c,,+142555,,\n", Options{}, []string{"r.csv:2:4: phone: not a phone number in E.164 form: write"}},
		{"phone too long", head + "invite,c,,+1425555010012345,,\n", Options{}, []string{"r.csv:2:4: phone: not a phone number in E.164 form: write"}},
		{"phone with 0", head + "invite,c,,+04255550100,,\n", Options{}, []string{"r.csv:2:4: phone: not a phone number in E.164 form: write"}},
		{"long name", head + "invite,c,u,,," + strings.Repeat("é", 257) + "\n", Options{}, []string{"r.csv:2:6: display_name: longer than 256 characters: shorten it"}},
		{"line break in name", head + "invite,c,u,,,\"Jane\nDoe\"\n", Options{}, []string{"r.csv:2:6: display_name: has a line break or another control character: write"}},
		{"bad tenant", "tenant_id," + head + "a b,delete,c,u,,,\n", Options{}, []string{"r.csv:2:1: tenant_id: has white space inside: write"}},
		{"bad replaced call", "replaces_call_id," + head + "a/b,invite,c,u,,,\n", Options{}, []string{`r.csv:2:1: replaces_call_id: has one of / \ ? # %: write`}},
		{"all in one row", head + "x,,a/b,1,p q,\n", Options{}, []string{"r.csv:2:1: action: not a", "r.csv:2:2: call_id: blank", "r.csv:2:3: user_id: has one", "r.csv:2:4: phone: a second identity", "r.csv:2:5: participant_id: has white"}},
		{"semicolons", strings.ReplaceAll(head+"delete,c d,u,,,\n", ",", ";"), Options{}, []string{"r.csv:2:2: call_id: has white space inside: write"}},
		{"positions after dropped columns", "row,source," + head + "1,f.csv:2,delete,c,u/v,,,\n", Options{}, []string{"r.csv:2:5: user_id: has one of"}},
		{"cap", head + strings.Repeat("x,c,u,,,\n", 5), Options{MaxErrors: 2}, []string{"r.csv:2:1: action: not a", "r.csv:3:1: action: not a", "+3"}},
		{"why the file is of no use, over the cap", head + strings.Repeat("x,c,u,,,\n", 5) + "delete,c,5\" u,,,\n", Options{MaxErrors: 2, SkipInvalid: true},
			[]string{"r.csv:2:1: action: not a", "r.csv:3:1: action: not a", "r.csv:7:3: user_id: a quote inside", "+3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := problems(t, openText(t, tt.text), tt.o)
			if len(got) != len(tt.want) {
				equal(t, got, tt.want)
				return
			}
			for i := range got {
				if !strings.HasPrefix(got[i], tt.want[i]) {
					t.Errorf("got  %s\nwant %s…", got[i], tt.want[i])
				}
			}
		})
	}
}

// TestMessagesWithholdCells has secrets in every cell that is refused.
func TestMessagesWithholdCells(t *testing.T) {
	const secret = "sEcReT"
	got := problems(t, openText(t, head+
		"sEcReT,c sEcReT,sEcReT/x,sEcReT,sEcReT x,\"sEcReT\nx\"\n"+
		"sEcReT,sEcReT\n"+
		"delete,c,sEcReT\"x,,,\n"), Options{})
	if len(got) < 7 {
		t.Errorf("only %d errors", len(got))
	}
	for _, m := range got {
		if strings.Contains(m, secret) {
			t.Errorf("shows a cell: %s", m)
		}
	}
}

func TestInvalidErrorJSON(t *testing.T) {
	e := &InvalidError{Errors: []Error{{"a.csv", 2, 3, "user_id: blank"}}, More: 4}
	got, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"errors":[{"file":"a.csv","line":2,"column":3,"message":"user_id: blank"}],"more":4}`
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got, want := e.Error(), "a.csv:2:3: user_id: blank (and 4 more)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestBadInOneOfSeveral checks that a bad file does not hide what is wrong in
// the next one.
func TestBadInOneOfSeveral(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "a.csv", "")
	write(t, "b.csv", head+"delete,c,u,,,\n")
	write(t, "c.csv", head+"delete,c,,,,\n")
	got := problems(t, open(t, "a.csv", "b.csv", "c.csv"), Options{SkipInvalid: true})
	if len(got) != 2 || !strings.HasPrefix(got[0], "a.csv: empty") || !strings.HasPrefix(got[1], "c.csv:2:3: user_id: blank") {
		t.Errorf("got %q", got)
	}
}

func TestOpenErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("dir", 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, "ok.csv", head)
	_, err := Open([]string{"gone.csv", "ok.csv", "dir", "-", "-"}, strings.NewReader(""))
	want := "open gone.csv: no such file or directory\nopen dir: is a directory\nstandard input is named twice"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}
