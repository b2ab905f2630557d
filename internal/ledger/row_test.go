package ledger

import (
	"strings"
	"testing"
	"time"
)

var created = time.UnixMilli(1_790_000_000_000)

func TestRowRoundTrip(t *testing.T) {
	for name, r := range map[string]Row{
		"pending":    {},
		"retried":    {Attempts: 3, At: created.Add(4 * time.Second).UTC(), Status: 503, Code: "9999", RequestID: "x/y", Detail: "temporary"},
		"at once":    {Outcome: Removed, Attempts: 1, At: created.UTC(), Status: 204},
		"guid":       {Outcome: Invited, RequestID: "0f0f0f0f-1111-4222-8333-444444444444"},
		"upper guid": {Outcome: Invited, RequestID: "0F0F0F0F-1111-4222-8333-44444444444A"},
		"text":       {Outcome: Rejected, Detail: "zażółć: \x00\xff bytes", Code: "BadRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decodeRow(string(r.encode(created)), created)
			if err != nil || got != r {
				t.Errorf("%+v became %+v, %v", r, got, err)
			}
		})
	}
}

func TestRowIsClipped(t *testing.T) {
	r := Row{Outcome: Rejected, Detail: strings.Repeat("é", 1000), Code: strings.Repeat("c", 1000), RequestID: strings.Repeat("i", 1000)}
	got, err := decodeRow(string(r.encode(created)), created)
	if err != nil || len(got.Detail) > maxDetail || got.Detail == "" || strings.Trim(got.Detail, "é") != "" || len(got.Code) != guidMark-1 || len(got.RequestID) != guidMark-1 {
		t.Errorf("clipped to %d, %d, %d bytes: %v", len(got.Detail), len(got.Code), len(got.RequestID), err)
	}
}

func TestOutcomes(t *testing.T) {
	letters, names := map[byte]bool{}, map[string]bool{}
	for _, o := range append(Outcomes(), Pending) {
		back, err := outcomeOf(o.letter())
		if err != nil || back != o || letters[o.letter()] || names[o.String()] || o.String() == "" {
			t.Errorf("outcome %d: letter %c, name %q, %v", o, o.letter(), o, err)
		}
		letters[o.letter()], names[o.String()] = true, true
		if (o.Group() == GroupPending) != (o == Pending) {
			t.Errorf("%s is in group %s", o, o.Group())
		}
	}
	if len(letters) != 14 {
		t.Errorf("%d outcomes with pending", len(letters))
	}
}

func FuzzDecodeRow(f *testing.F) {
	f.Add("")
	f.Add("R\x01\xcc\x01\x05\x00\x00")
	f.Add("X\x01\x90\x03\x05\x04code\x7f0123456789abcdefdetail")
	f.Add("?\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")
	f.Fuzz(func(t *testing.T, s string) {
		r, err := decodeRow(s, created)
		if err != nil || s == "" {
			return
		}
		again, err := decodeRow(string(r.encode(created)), created)
		if err != nil || again.Outcome != r.Outcome || again.Attempts != r.Attempts || again.Status != r.Status {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}
