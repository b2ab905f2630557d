//go:build integration

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

// badFiles are inputs that must be refused, one of each kind: internal/roster has
// all of them. at is where and what: as in a message, up to the problem's own words.
var badFiles = []struct {
	name, text, at string
}{
	{"empty", "", "r.csv: empty"},
	{"header only", head, "r.csv: no rows"},
	{"old Excel", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "r.csv: an Excel workbook"},
	{"gzip cut short", gz(head + "delete,c,u,,,\n")[:40], "r.csv: the gzip data ends too early"},
	{"no action column", "call_id,user_id\nc,u\n", "r.csv: action: no such column"},
	{"300 columns", "action,call_id,user_id" + strings.Repeat(",n", 297) + "\nx\n", "r.csv:1:257: header: 300 columns"},
	{"ragged in the middle", head + "delete,c,u,,,\ndelete,c,v\ndelete,c,w,,,\n", "r.csv:3:4: record: 3 fields"},
	{"half a quote, last line", head + "delete,c,u,,,\ndelete,c,v,,,\"Jane", "r.csv:3:6: display_name: a quoted cell is not closed"},
	{"UTF-16, odd byte in a name", wide(head+"delete,c,u,,,Jane") + "\x41", "r.csv:2:6: display_name: "},
	{"unknown action", head + "Jane,c,u,,,\n", "r.csv:2:1: action: not a known action"},
	{"nobody to delete", head + "delete,c,,,,Jane\n", "r.csv:2:3: user_id: blank"},
	{"space in an id", head + "delete,c,u v,,,\n", "r.csv:2:3: user_id: has white space"},
	{"cell of 40 KB", "action,call_id,user_id,n\ndelete,c,u," + strings.Repeat("n", 40_000) + "\n", "r.csv:2:4: n: longer than 32 KiB"},
	{"phone with spaces", head + "invite,c,,+1 425 555 0100,,\n", "r.csv:2:4: phone: not a phone number"},
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
	for _, secret := range []string{"Jane", "555 0100", "u v"} {
		if strings.Contains(j.first(), secret) {
			t.Errorf("a message shows %q", secret)
		}
	}
}
