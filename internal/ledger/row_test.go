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
		"intent":     {Attempts: 1, Intent: Intent{At: created.UTC()}},
		"ringing": {
			Attempts: 2, At: created.Add(8 * time.Second).UTC(), Status: 200, RequestID: "0f0f0f0f-1111-4222-8333-444444444444", Detail: "zażółć",
			Intent: Intent{
				At: created.Add(5 * time.Second).UTC(), Accepted: true, Read: 2500 * time.Millisecond,
				Operation: "00000000-1111-4222-8333-44444444444a",
			},
		},
		"phrase":           {Outcome: Joined, Detail: phrases[1]},
		"phrase and more":  {Outcome: Joined, Detail: phrases[1] + ", in its lobby"},
		"phrase and guid":  {Outcome: Invited, Detail: phrases[3] + "0f0f0f0f-1111-4222-8333-444444444444"},
		"phrase and mark":  {Outcome: Invited, Detail: phrases[3] + "\x7e"},
		"phrase and other": {Outcome: Invited, Detail: phrases[3] + "\x7f123456789abcdef0"},
		"like a phrase":    {Outcome: Invited, Detail: "\x01"},
		"like none":        {Outcome: Invited, Detail: "\x1f\x1f"},
		"its operation": {
			Detail: phrases[3] + "op/1", Intent: Intent{At: created.UTC(), Accepted: true, Operation: "op/1"},
		},
		"answer lost":      {Status: 504, Code: "9999", Detail: "!", Intent: Intent{At: created.Add(time.Hour).UTC(), Read: 24 * time.Hour}},
		"other operation":  {Detail: "d", Intent: Intent{At: created.UTC(), Accepted: true, Operation: "op/ö.!\x00"}},
		"long operation":   {Detail: "d", Intent: Intent{At: created.UTC(), Operation: strings.Repeat("o", guidMark-1)}},
		"all at its limit": {Detail: strings.Repeat("!", maxDetail), Intent: Intent{At: created.UTC(), Operation: strings.Repeat("é", (guidMark-1)/2)}},
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

func TestIntentIsClipped(t *testing.T) {
	at := created.Add(1500 * time.Microsecond)
	r := Row{Detail: "detail", Intent: Intent{At: at, Operation: strings.Repeat("é", 100), Read: -time.Second}}
	got, err := decodeRow(string(r.encode(created)), created)
	want := Intent{At: created.Add(time.Millisecond).UTC(), Operation: strings.Repeat("é", (guidMark-1)/2)}
	if err != nil || got.Intent != want || got.Detail != "detail" {
		t.Errorf("%+v, %v", got, err)
	}
	// One from before the batch, as clocks go, is one still.
	r.Intent.At = created.Add(-time.Hour)
	if got, err := decodeRow(string(r.encode(created)), created); err != nil || !got.Intent.At.Equal(created) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestNoIntent: only a pending row that has an intent keeps anything of it.
func TestNoIntent(t *testing.T) {
	for name, r := range map[string]Row{
		"outcome": {Outcome: Joined, Detail: "d", Intent: Intent{At: created, Accepted: true, Operation: "op"}},
		"not set": {Detail: "d", Intent: Intent{Accepted: true, Operation: "op", Read: time.Second}},
	} {
		got, err := decodeRow(string(r.encode(created)), created)
		r.Intent = Intent{}
		if err != nil || got != r {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestStoredRecords: records as they lie in Redis, some for longer than a
// program that knows what an intent is.
func TestStoredRecords(t *testing.T) {
	for record, want := range map[string]*Row{
		"":                               {},
		".\x00\x00\x00\x00\x00":          {},
		".\x02\xf7\x03\xa1\x1f\x00\x00!": {Attempts: 2, Status: 503, At: created.Add(4 * time.Second).UTC(), Detail: "!"},
		".\x01\xad\x03\x00\x03abc\x7f0123456789abcdefslow": {
			Attempts: 1, Status: 429, Code: "abc", RequestID: "30313233-3435-3637-3839-616263646566", Detail: "slow",
		},
		"!\x01\x00\x00\x00\x00\x01\x00\x00\x00": {Attempts: 1, Intent: Intent{At: created.UTC()}},
		"!\x01\x00\x00\x00\x00\x02\xe8\x07\x01\x02opringing": {
			Attempts: 1, Detail: "ringing",
			Intent: Intent{At: created.Add(time.Millisecond).UTC(), Read: time.Second, Accepted: true, Operation: "op"},
		},
		"!":                                             nil,
		"!\x01\x00\x00\x00\x00":                         nil,
		"!\x01\x00\x00\x00\x00\x00\x00\x00\x00":         nil, // no time
		"!\x01\x00\x00\x00\x00\x01\x00":                 nil,
		"!\x01\x00\x00\x00\x00\x01\x00\x01":             nil,
		"!\x01\x00\x00\x00\x00\x01\x00\x01\x7foperatio": nil,
		"?\x01\x00\x00\x00\x00":                         nil,
	} {
		got, err := decodeRow(record, created)
		if want == nil {
			if err == nil || got != (Row{}) {
				t.Errorf("%q became %+v", record, got)
			}
			continue
		}
		if err != nil || got != *want {
			t.Errorf("%q became %+v, %v", record, got, err)
		}
		if record != "" && string(got.encode(created)) != record {
			t.Errorf("%q became %q", record, got.encode(created))
		}
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
	f.Add("!\x01\x00\x00\x00\x00\x01\x00\x00\x00")
	f.Add("!\x02\xc8\x01\xa1\x1f\x00\x7f0123456789abcdef\x89\x27\xc4\x13\x01\x7ffedcba9876543210ringing")
	f.Add("!\x01\x00\x00\x00\x00\x05\x80\x80\x80\x80\x80\x80\x80\x08\x02\x05op/\xff!")
	f.Add("!\x01\x00\x00\x00\x00\x00\x00\x00\x00") // no time
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
		if s[0] == intentLetter != r.Intent.sent() || r.Intent.sent() && r.Outcome != Pending {
			t.Errorf("%q has the intent %+v", s, r.Intent)
		}
		// A text longer than any that is written is cut.
		want := r.Intent
		want.Operation = clip(want.Operation, guidMark-1)
		if again.Intent != want {
			t.Errorf("%+v became %+v", want, again.Intent)
		}
	})
}
