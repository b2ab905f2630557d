package test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf16"

	"rollcall/internal/redistest"
)

// head is the header most bad files have.
const head = "action,call_id,user_id,phone,participant_id,display_name\n"

// badFiles are inputs that must be refused. at is where and what: as in a
// message, up to the problem's own words.
var badFiles = []struct {
	name, text, at string
}{
	// Whole files: no position.
	{"empty", "", "r.csv: empty"},
	{"blank lines", "\n\r\n  \n", "r.csv: empty"},
	{"delimiters only", ",,,\n,,,\n", "r.csv: empty"},
	{"byte order mark only", "\xef\xbb\xbf", "r.csv: empty"},
	{"header only", head, "r.csv: no rows"},
	{"header and blank rows", head + ",,,,,\n\n", "r.csv: no rows"},
	{"CR line ends", "action,call_id,user_id\rdelete,c,u\r", "r.csv: lines end in CR"},
	{"zip", "PK\x03\x04\x14\x00\x06\x00", "r.csv: a zip archive"},
	{"old Excel", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "r.csv: an Excel workbook"},
	{"PDF", "%PDF-1.7\n%\xe2\xe3", "r.csv: a PDF"},
	{"binary", "\x7fELF\x02\x01\x01\x00\x00", "r.csv: "},
	{"UTF-16 without mark", "a\x00c\x00t\x00", "r.csv: has NUL bytes"},
	{"UTF-32", "\xff\xfe\x00\x00a\x00\x00\x00", "r.csv: in UTF-32"},
	{"gzip cut short", cut(gz(head+"delete,c,u,,,\n"), 40), "r.csv: the gzip data ends too early"},
	{"gzip cut in its header", cut(gz(head), 5), "r.csv: the gzip data ends too early"},
	{"gzip with rubbish behind it", gz(head+"delete,c,u,,,\n") + "and some more text", "r.csv: the gzip data is damaged"},
	{"gzip twice", gz(gz(head)), "r.csv: compressed twice"},
	{"gzip of nothing", gz(""), "r.csv: empty"},

	// Headers.
	{"no action column", "call_id,user_id\nc,u\n", "r.csv: action: no such column"},
	{"no call column", "action,user_id\ndelete,u\n", "r.csv: call_id: no such column"},
	{"no column says who", "action,call_id,note\ndelete,c,x\n", "r.csv: participant_id: no column says who"},
	{"no header", "delete,c,u\n", "r.csv: action: no such column"},
	{"column twice", "action,call_id,user_id,Call ID\ndelete,c,u,c\n", "r.csv:1:4: call_id: a second call_id column"},
	{"column and its alias", "\naction,call_id,user_id,Object-ID\ndelete,c,u,u\n", "r.csv:2:4: user_id: a second user_id column"},
	{"header not UTF-8", "action,call_id,user_id,caf\xe9\ndelete,c,u,x\n", "r.csv:1:4: header: not UTF-8"},
	{"quote in the header", "action,ca\"ll,user_id\nx,y,z\n", "r.csv:1:2: header: a quote"},
	{"300 columns", "action,call_id,user_id" + strings.Repeat(",n", 297) + "\nx\n", "r.csv:1:257: header: 300 columns"},

	// Records.
	{"too few fields", head + "delete,c\n", "r.csv:2:3: record: 2 fields, but the header has 6"},
	{"too many fields", head + "delete,c,u,,,Doe, Jane\n", "r.csv:2:7: record: 7 fields, but the header has 6"},
	{"ragged in the middle", head + "delete,c,u,,,\ndelete,c,v\ndelete,c,w,,,\n", "r.csv:3:4: record: 3 fields"},
	{"half a quote", head + "delete,c,\"u,,,\ndelete,c,v,,,\n", "r.csv:2:3: user_id: a quoted cell is not closed"},
	{"half a quote, last line", head + "delete,c,u,,,\ndelete,c,v,,,\"Jane", "r.csv:3:6: display_name: a quoted cell is not closed"},
	{"quote inside a cell", head + "delete,c,5\"u,,,\n", "r.csv:2:3: user_id: a quote inside a cell"},
	{"text after a quote", head + "delete,c,\"u\"x,,,\n", "r.csv:2:3: user_id: a quoted cell is not closed"},
	{"UTF-16, odd byte", wide(head+"delete,c,u,,,\n") + "\x41", "r.csv:3:2: record: 1 field"},
	{"UTF-16, odd byte in an id", wide("action,call_id,user_id\ndelete,c,u") + "\x41", "r.csv:2:3: user_id: has a damaged character"},
	{"UTF-16, odd byte in a name", wide(head+"delete,c,u,,,Jane") + "\x41", "r.csv:2:6: display_name: "},
	{"UTF-16, half a pair", wide(head+"delete,c,u") + "\x00\xd8" + wide(",,,\n")[2:], "r.csv:2:3: user_id: has a damaged character"},

	// Cells.
	{"unknown action", head + "Jane,c,u,,,\n", "r.csv:2:1: action: not a known action"},
	{"blank action", head + " ,c,u,,,\n", "r.csv:2:1: action: blank"},
	{"blank call", head + "delete,,u,,,\n", "r.csv:2:2: call_id: blank"},
	{"nobody to delete", head + "delete,c,,,,Jane\n", "r.csv:2:3: user_id: blank"},
	{"invite by participant id only", head + "invite,c,,,p,\n", "r.csv:2:3: user_id: blank"},
	{"two identities", head + "delete,c,u,+14255550100,,\n", "r.csv:2:4: phone: a second identity"},
	{"path in the call", head + "delete,../c,u,,,\n", "r.csv:2:2: call_id: has one of"},
	{"dots as call", head + "delete,..,u,,,\n", "r.csv:2:2: call_id: not an id"},
	{"slash in the user", head + "delete,c,u/v,,,\n", "r.csv:2:3: user_id: has one of"},
	{"backslash", head + "delete,c,u\\v,,,\n", "r.csv:2:3: user_id: has one of"},
	{"question mark", head + "delete,c,,,p?x=1,\n", "r.csv:2:5: participant_id: has one of"},
	{"fragment", head + "delete,c,,,p#x,\n", "r.csv:2:5: participant_id: has one of"},
	{"percent code", head + "delete,c,,,p%2Fx,\n", "r.csv:2:5: participant_id: has one of"},
	{"space in an id", head + "delete,c,u v,,,\n", "r.csv:2:3: user_id: has white space"},
	{"line break in an id", head + "delete,c,u,,,\ndelete,c,\"u\nv\",,,\n", "r.csv:3:3: user_id: has white space"},
	{"error after a line break", head + "invite,c,u,,,Jane\n\ndelete,c,\"w\",,,\"\n\"\nring,c,u,,,\n", "r.csv:6:1: action: not a known action"},
	{"NUL in an id", head + "delete,c,u\x00,,,\n", "r.csv:2:3: user_id: has a NUL byte"},
	{"control character", head + "delete,c,u\x07,,,\n", "r.csv:2:3: user_id: has a control character"},
	{"zero-width space", head + "delete,c,u\u200b,,,\n", "r.csv:2:3: user_id: has an invisible character"},
	{"replacement character", head + "delete,c,u\ufffd,,,\n", "r.csv:2:3: user_id: has a damaged character"},
	{"Latin-1", head + "invite,c,u,,,Ren\xe9\n", "r.csv:2:6: display_name: not UTF-8"},
	{"Latin-1 in a column that is not used", "action,call_id,user_id,Note\ndelete,c,u,Ren\xe9\n", "r.csv:2:4: Note: not UTF-8"},
	{"id of 300 bytes", head + "delete,c," + strings.Repeat("u", 300) + ",,,\n", "r.csv:2:3: user_id: longer than 256 bytes"},
	{"cell of 40 KB", "action,call_id,user_id,n\ndelete,c,u," + strings.Repeat("n", 40_000) + "\n", "r.csv:2:4: n: longer than 32 KiB"},
	{"name of 300 characters", head + "invite,c,u,,," + strings.Repeat("é", 300) + "\n", "r.csv:2:6: display_name: longer than 256 characters"},
	{"name on two lines", head + "invite,c,u,,,\"Jane\nDoe\"\n", "r.csv:2:6: display_name: has a line break"},
	{"phone without plus", head + "invite,c,,14255550100,,\n", "r.csv:2:4: phone: not a phone number"},
	{"phone with spaces", head + "invite,c,,+1 425 555 0100,,\n", "r.csv:2:4: phone: not a phone number"},
	{"phone too short", head + "invite,c,,+14255,,\n", "r.csv:2:4: phone: not a phone number"},
	{"phone too long", head + "invite,c,,+1425555010012345,,\n", "r.csv:2:4: phone: not a phone number"},
	{"phone as Excel mangles it", head + "invite,c,,1.42556E+10,,\n", "r.csv:2:4: phone: not a phone number"},
	{"semicolons", strings.ReplaceAll(head+"delete,c,u v,,,\n", ",", ";"), "r.csv:2:3: user_id: has white space"},
	{"tabs", strings.ReplaceAll(head+"delete,c,u/v,,,\n", ",", "\t"), "r.csv:2:3: user_id: has one of"},
	{"bad tenant", "tenant_id," + head + "a/b,delete,c,u,,,\n", "r.csv:2:1: tenant_id: has one of"},
	{"last of 5,000 rows", head + strings.Repeat("delete,c,u,,,\n", 4_999) + "delete,c,,,,\n", "r.csv:5001:3: user_id: blank"},
}

func gz(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	// Neither fails on a buffer.
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}

// wide is text in UTF-16 as Excel saves it.
func wide(text string) string {
	b := []byte("\xff\xfe")
	for _, u := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

func cut(s string, n int) string { return s[:n] }

// invalidJSON is what enqueue prints of bad input with --output json.
type invalidJSON struct {
	Error  string `json:"error"`
	Errors []struct {
		File    string `json:"file"`
		Line    int    `json:"line"`
		Column  int    `json:"column"`
		Message string `json:"message"`
	} `json:"errors"`
	More int `json:"more"`
}

// first is the first error as the text output has it.
func (j invalidJSON) first() string {
	switch {
	case len(j.Errors) == 0:
		return ""
	case j.Errors[0].Line == 0:
		return j.Errors[0].File + ": " + j.Errors[0].Message
	}
	e := j.Errors[0]
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// TestBadFiles enqueues bad files in earnest, a living Redis before it: every
// one is refused with its exact place, and Redis stays as it was.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	server := redistest.StartServer(t)
	rdb := server.Client(t)
	env := []string{"ROLLCALL_REDIS=" + server.URL()}
	size := func() int64 {
		n, err := rdb.DBSize(context.Background()).Result()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	// The name of the group keeps the end, below, behind its parallel tests.
	t.Run("file", func(t *testing.T) {
		for _, tt := range badFiles {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				writeFile(t, dir, "r.csv", func(w io.Writer) { _, _ = io.WriteString(w, tt.text) })
				refused(t, dir, env, tt.at)
			})
		}
		t.Run("a line of 100 MB", func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeFile(t, dir, "r.csv", func(w io.Writer) {
				_, _ = io.WriteString(w, head+"delete,c,u,,,\ndelete,c,")
				megabyte := bytes.Repeat([]byte("u"), 1<<20)
				for range 100 {
					_, _ = w.Write(megabyte)
				}
			})
			refused(t, dir, env, "r.csv:3:3: user_id: record is longer than 1 MiB")
		})
	})
	if n := size(); n != 0 {
		t.Errorf("Redis has %d keys", n)
	}
}

// refused enqueues r.csv of dir as text and as JSON.
func refused(t *testing.T, dir string, env []string, at string) {
	t.Helper()
	r := must(t, 3, dir, env, "enqueue", "r.csv")
	first, _, _ := strings.Cut(r.stderr, "\n")
	for strings.HasPrefix(first, "notice: ") {
		_, rest, _ := strings.Cut(r.stderr, "\n")
		r.stderr = rest
		first, _, _ = strings.Cut(rest, "\n")
	}
	if !strings.HasPrefix(first, at) {
		t.Errorf("text says %q, want %q…", first, at)
	}
	if r.stdout != "" {
		t.Errorf("text goes to standard output: %q", last(r.stdout, 200))
	}
	var j invalidJSON
	must(t, 3, dir, env, "enqueue", "--output", "json", "r.csv").json(t, &j)
	if j.Error != "invalid input" || !strings.HasPrefix(j.first(), at) {
		t.Errorf("JSON says %q: %q, want %q…", j.Error, j.first(), at)
	}
	for _, secret := range []string{"Jane", "+1425555010012345", "555 0100", "u v"} {
		if strings.Contains(j.first(), secret) {
			t.Errorf("a message shows %q", secret)
		}
	}
}
