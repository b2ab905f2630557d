package graph

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
)

// maxErrorBody caps what is read of the body of an error, in bytes.
const maxErrorBody = 64 << 10

// answer is one HTTP response, read.
type answer struct {
	status          int
	header          http.Header
	body            []byte
	bodyErr         error // the body was cut or too large; body holds its beginning
	clientRequestID string
	token           string // of its request, which it must not repeat
}

func (a *answer) ok() bool { return a.status >= 200 && a.status <= 299 }

// classify turns an answer that is no success into an error. It is the only
// place that knows what Graph's statuses and codes mean.
func classify(op string, a *answer, now time.Time) *Error {
	detail := parseErrorBody(a.body)
	e := &Error{
		Op:              op,
		Status:          a.status,
		Code:            a.without(detail.Code),
		Message:         a.without(detail.Message),
		RequestID:       requestID(a.header),
		ClientRequestID: a.clientRequestID,
	}
	if e.RequestID == "" {
		e.RequestID = a.without(detail.RequestID)
	}
	e.RetryAfter, e.HasRetryAfter = a.retryAfter(now)
	switch s := a.status; {
	case s == http.StatusTooManyRequests:
		e.Kind = Throttled
	case s == http.StatusNotFound && (e.Code == "8522" || e.Code == "9997"):
		e.Kind = CallNotFound
	case s == http.StatusNotFound:
		e.Kind = NotFound
	case s == http.StatusUnauthorized:
		e.Kind = Unauthorized
	case s == http.StatusForbidden:
		e.Kind = Forbidden
	case s == http.StatusRequestTimeout || s >= 500:
		// 408 comes from gateways too, which cannot know how far Graph got.
		e.Kind = Temporary
	case s < http.StatusBadRequest && op == OpInvite:
		// "See other" is what comes after something was done.
		e.Kind = BadAnswer
	default:
		e.Kind = Refused
	}
	return e
}

// retryAfter is how long an answer that is no success asks to wait.
func (a *answer) retryAfter(now time.Time) (time.Duration, bool) {
	if a.ok() {
		return 0, false
	}
	// A date is by the server's clock, so it is compared with the server's.
	if date, err := http.ParseTime(a.header.Get("Date")); err == nil {
		now = date
	}
	return ParseRetryAfter(a.header.Get("Retry-After"), now)
}

// requestID is Graph's, which an error may have in its body only.
func (a *answer) requestID() string {
	id := requestID(a.header)
	if id == "" && !a.ok() {
		id = a.without(parseErrorBody(a.body).RequestID)
	}
	return id
}

func requestID(h http.Header) string { return printable(h.Get("Request-Id"), 128) }

// errorDetail is the useful part of an error body.
type errorDetail struct {
	Code, Message, RequestID string
}

// parseErrorBody reads what it can of an error body: numbers where strings
// belong, a body cut short, and no JSON at all are all seen in practice.
func parseErrorBody(body []byte) errorDetail {
	var d errorDetail
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	// Walking tokens keeps what stands before the place where a body was cut.
	if tok, err := dec.Token(); err == nil && tok == json.Delim('{') {
		walkObject(dec, nil, func(path []string, value string) {
			switch strings.ToLower(strings.Join(path, ".")) {
			case "error.code":
				d.Code = printable(value, 64)
			case "error.message":
				d.Message = printable(value, 1024)
			case "error.innererror.request-id":
				d.RequestID = printable(value, 128)
			}
		})
	}
	return d
}

// maxDepth bounds the recursion into bodies made to exhaust the stack.
const maxDepth = 16

// walkObject calls leaf for every string and number in the object dec stands
// in, arrays left out. It reports whether the object was read to its end.
func walkObject(dec *json.Decoder, path []string, leaf func([]string, string)) bool {
	if len(path) >= maxDepth {
		return false
	}
	for {
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		key, isKey := tok.(string)
		if !isKey {
			return tok == json.Delim('}')
		}
		// Doubled, the dots of a name cannot pass for those between names.
		at := append(slices.Clip(path), strings.ReplaceAll(key, ".", ".."))
		tok, err = dec.Token()
		if err != nil {
			return false
		}
		switch v := tok.(type) {
		case json.Delim:
			if v == '{' && !walkObject(dec, at, leaf) || v == '[' && !skipArray(dec) {
				return false
			}
		case string:
			leaf(at, v)
		case json.Number:
			leaf(at, v.String())
		}
	}
}

func skipArray(dec *json.Decoder) bool {
	for depth := 1; depth > 0; {
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		switch tok {
		case json.Delim('['), json.Delim('{'):
			depth++
		case json.Delim(']'), json.Delim('}'):
			depth--
		}
	}
	return true
}

// printable makes one short line of a text that came over the wire.
func printable(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.TrimSpace(s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}
