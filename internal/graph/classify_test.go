package graph

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// graphError is an error body as Graph writes it.
func graphError(code, message string) string {
	return `{"error":{"code":"` + code + `","message":"` + message +
		`","innerError":{"date":"2026-11-23T10:00:00","request-id":"inner-1","client-request-id":"c-1"}}}`
}

func TestClassify(t *testing.T) {
	const html = "<html><body>502 Bad Gateway</body></html>"
	tests := []struct {
		name    string
		status  int
		body    string
		kind    Kind
		code    string
		applied bool // may have
	}{
		{"call not found", 404, graphError("8522", "Call not found."), CallNotFound, "8522", false},
		{"call not found, other code", 404, graphError("9997", "Call not found."), CallNotFound, "9997", false},
		{"code is a number", 404, `{"error":{"code":8522,"message":"Call not found."}}`, CallNotFound, "8522", false},
		{"message alone does not decide", 404, graphError("8523", "Call not found."), NotFound, "8523", false},
		{"code of a call on another status", 400, graphError("8522", "Call not found."), Refused, "8522", false},
		{"participant gone", 404, graphError("8523", "Participant not found."), NotFound, "8523", false},
		{"404 without body", 404, "", NotFound, "", false},
		{"404 with a page", 404, html, NotFound, "", false},
		{"404 cut after the code", 404, `{"error":{"code":"8522","message":"Call no`, CallNotFound, "8522", false},
		{"404 cut before the code", 404, `{"error":{"co`, NotFound, "", false},
		{"404 huge", 404, `{"error":{"code":"8522","message":"` + strings.Repeat("x", 1<<20), CallNotFound, "8522", false},
		{"throttled", 429, graphError("TooManyRequests", "Too many."), Throttled, "TooManyRequests", false},
		{"throttled without body", 429, "", Throttled, "", false},
		{"500 unknown", 500, graphError("9999", "Unknown internal server error."), Temporary, "9999", true},
		{"501", 501, "", Temporary, "", true},
		{"502", 502, html, Temporary, "", true},
		{"503", 503, graphError("ServiceUnavailable", "Busy."), Temporary, "ServiceUnavailable", true},
		{"504", 504, html, Temporary, "", true},
		{"507", 507, "", Temporary, "", true},
		{"408", 408, "", Temporary, "", true},
		{"401", 401, graphError("InvalidAuthenticationToken", "Expired."), Unauthorized, "InvalidAuthenticationToken", false},
		{"403", 403, graphError("7503", "Not allowed."), Forbidden, "7503", false},
		{"400", 400, graphError("BadRequest", "No."), Refused, "BadRequest", false},
		{"405", 405, "", Refused, "", false},
		{"409", 409, "", Refused, "", false},
		{"410", 410, "", Refused, "", false},
		{"412", 412, "", Refused, "", false},
		{"413", 413, "", Refused, "", false},
		{"415", 415, "", Refused, "", false},
		{"422", 422, "", Refused, "", false},
		{"302", 302, "", Refused, "", false},
		{"304", 304, "", Refused, "", false},
		{"307", 307, "", Refused, "", false},
		{"error is no object", 400, `{"error":"invalid_request"}`, Refused, "", false},
		{"error in an array", 400, `[{"error":{"code":"x"}}]`, Refused, "", false},
		{"code is null", 400, `{"error":{"code":null,"message":null}}`, Refused, "", false},
		{"a name with a dot", 404, `{"error.code":"8522"}`, NotFound, "", false},
		{"details before the code", 400, `{"error":{"details":[{"code":"a"},[1]],"code":"b"}}`, Refused, "b", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, w := newClient(t, answerWith(tt.status, http.Header{"Request-Id": {"r-1"}}, tt.body))
			_, err := c.Remove(t.Context(), "", "call-1", "p-1")
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("no *Error: %v", err)
			}
			if e.Kind != tt.kind || KindOf(err) != tt.kind || e.Code != tt.code || e.Status != tt.status {
				t.Errorf("kind %v code %q status %d, want %v %q %d", e.Kind, e.Code, e.Status, tt.kind, tt.code, tt.status)
			}
			if e.MayHaveApplied() != tt.applied {
				t.Errorf("MayHaveApplied = %v", e.MayHaveApplied())
			}
			if e.RequestID != "r-1" || e.ClientRequestID == "" || e.Op != OpDelete {
				t.Errorf("ids %q %q op %q", e.RequestID, e.ClientRequestID, e.Op)
			}
			sent := 1
			if tt.status == 401 {
				sent = 2
			}
			if before, results := w.counts(); before != sent || len(results) != sent {
				t.Errorf("%d passed Before, %d After, want %d", before, len(results), sent)
			}
		})
	}
}

func TestErrorDetails(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	skewed := now.Add(-3 * time.Hour) // the server's clock
	a := &answer{
		status: 503,
		header: http.Header{
			"Retry-After": {skewed.Add(20 * time.Second).Format(http.TimeFormat)},
			"Date":        {skewed.Format(http.TimeFormat)},
		},
		body: []byte(`{"error":{"code":"x","message":"about 4:+61400000000\n","innererror":{"request-id":"inner-1"}}}`),
	}
	e := classify(OpInvite, a, now)
	if !e.HasRetryAfter || e.RetryAfter != 20*time.Second {
		t.Errorf("RetryAfter = %v %v, want 20s by the server's clock", e.RetryAfter, e.HasRetryAfter)
	}
	if e.RequestID != "inner-1" {
		t.Errorf("RequestID = %q", e.RequestID)
	}
	if e.Message != "about 4:+61400000000" || strings.Contains(e.Error(), "+614") {
		t.Errorf("Message %q, Error %q", e.Message, e.Error())
	}
}

func TestKindNames(t *testing.T) {
	for k := Throttled; k <= Invalid; k++ {
		if k.String() == "" || k.String() == "none" {
			t.Errorf("kind %d has no name", k)
		}
	}
	if KindOf(nil) != 0 || KindOf(errors.New("x")) != 0 || Kind(0).String() != "none" || Kind(99).String() != "none" {
		t.Error("no error must have no kind")
	}
}

func FuzzParseErrorBody(f *testing.F) {
	for _, seed := range []string{
		"", "{", graphError("8522", "Call not found."), `{"error":{"code":1e3}}`, `{"error":{"error":{"code":"x"}}}`,
		`{"error":[[[{}]]],"x":{}}`, strings.Repeat(`{"a":`, 40), strings.Repeat(`[`, 300), `{"error":{"code":"\ud800\u0000"}}`,
		"<html>", `{"error":{"code":"a","code":"b"`, "\xff\xfe{}", `{"error":{"code":" 9997 "},"x":[{"error":{"code":1}}]}`,
		`{"error.code":"8522"}`, `{"error":{"innerError.request-id":"r"}}`, `{"ERROR":{"Message":-1.5e+7,"innererror":{"request-ID":"r"}}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d := parseErrorBody(body)
		for _, s := range []string{d.Code, d.Message, d.RequestID} {
			if strings.ContainsAny(s, "\n\r\x00\x1b\u2028\u2029") || !utf8.ValidString(s) {
				t.Errorf("not one line: %q", s)
			}
		}
		if len(d.Code) > 64 || len(d.Message) > 1024 || len(d.RequestID) > 128 {
			t.Errorf("too long: %+v", d)
		}
		e := classify(OpDelete, &answer{status: http.StatusNotFound, body: body}, time.Time{})
		if gone := e.Kind == CallNotFound; gone != (d.Code == "8522" || d.Code == "9997") || !gone && e.Kind != NotFound {
			t.Errorf("code %q is %v", d.Code, e.Kind)
		}
		// encoding/json must see the same where it sees anything. It folds more
		// letters than parseErrorBody, and knows no depth.
		if !json.Valid(body) || bytes.Contains(body, []byte(`\u`)) || bytes.ContainsFunc(body, func(r rune) bool { return r >= utf8.RuneSelf }) ||
			bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("[")) >= maxDepth {
			return
		}
		var want struct {
			Error struct {
				Code, Message scalar
				InnerError    struct {
					RequestID scalar `json:"request-id"`
				}
			}
		}
		_ = json.Unmarshal(body, &want) // of a wrong type: goes on
		if d != (errorDetail{printable(string(want.Error.Code), 64), printable(string(want.Error.Message), 1024), printable(string(want.Error.InnerError.RequestID), 128)}) {
			t.Errorf("%q became %+v, want %+v", body, d, want)
		}
	})
}

// scalar is the last string or number that stood in a place.
type scalar string

func (s *scalar) UnmarshalJSON(b []byte) error {
	switch {
	case b[0] == '"':
		return json.Unmarshal(b, (*string)(s))
	case b[0] == '-' || '0' <= b[0] && b[0] <= '9':
		*s = scalar(b)
	}
	return nil
}
