package graph

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says what an error means for the request it is about.
type Kind int

// The kinds. Each says whether the request may have been applied.
const (
	// Throttled: 429. Not applied.
	Throttled Kind = iota + 1
	// CallNotFound: 404 with code 8522 or 9997. The call has ended or never was.
	CallNotFound
	// NotFound: any other 404. On a removal: the participant is already gone.
	NotFound
	// Unauthorized: 401, and 401 again with a fresh token. Not applied.
	Unauthorized
	// Forbidden: 403. Not applied.
	Forbidden
	// Refused: any other 4xx, and a redirect of anything but an invitation; none is
	// ever followed. Not applied, and no use to repeat.
	Refused
	// Temporary: 5xx, and 408. It may have been applied.
	Temporary
	// Unknown: no whole answer to a request that was or may have been written
	// (reset, timeout, cut body). It may have been applied.
	Unknown
	// NotSent: nothing was written (no connection, Before refused, the context
	// ended first). Surely not applied.
	NotSent
	// NoToken: the token source failed. Not applied.
	NoToken
	// BadAnswer: a 2xx whose body is needed and makes no sense, or an invitation's
	// redirect. It may have been applied.
	BadAnswer
	// Invalid: the arguments cannot be sent. Nothing was.
	Invalid
)

var kindNames = [...]string{
	Throttled: "throttled", CallNotFound: "call not found", NotFound: "not found",
	Unauthorized: "unauthorized", Forbidden: "forbidden", Refused: "refused",
	Temporary: "temporary", Unknown: "no answer", NotSent: "not sent", NoToken: "no token",
	BadAnswer: "bad answer", Invalid: "invalid",
}

// String is a short English name.
func (k Kind) String() string {
	if k <= 0 || int(k) >= len(kindNames) {
		return "none"
	}
	return kindNames[k]
}

// The operations, as they stand in [Error.Op] and [Result.Kind].
const (
	OpInvite      = "invite"
	OpDelete      = "delete"
	OpRoster      = "roster"
	OpParticipant = "participant"
	OpOperation   = "operation"
)

// Error is every error the client returns, save those of [New].
type Error struct {
	Kind Kind
	Op   string // one of the Op constants
	// Status is the HTTP status, 0 without an answer.
	Status int
	// Code is error.code of the answer: a number or a word, often empty.
	Code string
	// Message is error.message of the answer. It may name people, so it is no
	// part of Error().
	Message string
	// RequestID is Graph's request-id; ClientRequestID is the one sent with the
	// last request. Support asks for both. Empty when there was none.
	RequestID       string
	ClientRequestID string
	// RetryAfter is how long Graph asks to wait from now; valid if HasRetryAfter.
	RetryAfter    time.Duration
	HasRetryAfter bool
	// Err is the cause, if there is one beyond the answer.
	Err error
}

// Error says what happened without naming anyone.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("graph ")
	b.WriteString(e.Op)
	b.WriteString(": ")
	b.WriteString(e.Kind.String())
	switch {
	case e.Status != 0 && e.Code != "":
		fmt.Fprintf(&b, " (%d, code %s)", e.Status, e.Code)
	case e.Status != 0:
		fmt.Fprintf(&b, " (%d)", e.Status)
	}
	if e.Err != nil {
		b.WriteString(": ")
		b.WriteString(e.Err.Error())
	}
	if e.RequestID != "" {
		b.WriteString(", request-id ")
		b.WriteString(e.RequestID)
	}
	return b.String()
}

// Unwrap gives the cause, so that a context's end can be told with errors.Is.
func (e *Error) Unwrap() error { return e.Err }

// MayHaveApplied tells whether the change asked for may have happened although
// there is an error. Only then must a caller look before it sends again.
func (e *Error) MayHaveApplied() bool {
	switch e.Kind {
	case Temporary, Unknown, BadAnswer:
		return true
	}
	return false
}

// KindOf is the kind of the first [Error] in err's chain, 0 if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return 0
}
