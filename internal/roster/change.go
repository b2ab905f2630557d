package roster

import (
	"errors"
	"strings"
)

// Action is what a change does to a participant. The zero Action is no action.
type Action uint8

// The two actions.
const (
	Invite Action = iota + 1
	Delete
)

// String returns "invite", "delete", or "" for no action.
func (a Action) String() string {
	switch a {
	case Invite:
		return "invite"
	case Delete:
		return "delete"
	}
	return ""
}

// ErrAction says that a word names no action.
var ErrAction = errors.New("not a known action: write invite (or add), delete (or remove)")

// ParseAction reads invite or add, delete or remove, in any case. Anything
// else is [ErrAction], which does not repeat the word: in a file with shifted
// columns it may be somebody's name.
func ParseAction(s string) (Action, error) {
	switch {
	case strings.EqualFold(s, "invite"), strings.EqualFold(s, "add"):
		return Invite, nil
	case strings.EqualFold(s, "delete"), strings.EqualFold(s, "remove"):
		return Delete, nil
	}
	return 0, ErrAction
}

// Kind says what sort of identity a change names, after the identity kinds of
// Graph's identitySet and communicationsIdentitySet.
type Kind uint8

// The kinds of identity. A delete that names a participant id only has
// NoIdentity.
const (
	NoIdentity Kind = iota
	User
	Phone
	Application
	Guest
)

// String returns "none", "user", "phone", "application" or "guest".
func (k Kind) String() string {
	switch k {
	case User:
		return "user"
	case Phone:
		return "phone"
	case Application:
		return "application"
	case Guest:
		return "guest"
	}
	return "none"
}

// Change is one row of the input: one participant to invite to a call or to
// delete from it. Ids are as written in the file; use [Change.Keys] and
// [Change.CallKey] to compare them.
type Change struct {
	// Row is 1 for the first good data row of the batch. [Schema.Change]
	// leaves it 0.
	Row    int64
	Action Action

	// TenantID is empty if neither the file nor the options name a tenant.
	TenantID, CallID string

	// ParticipantID is a delete's target, or the id an invited participant is
	// to have. It may be empty if Kind is not NoIdentity.
	ParticipantID string

	// Kind and ID are the identity. A phone's ID is in E.164 form.
	Kind Kind
	ID   string

	DisplayName, ReplacesCallID string
}

// Keys returns the one or two names under which the change's participant is
// known within the call: "participant:<id>", and the identity's, such as
// "user:<id>". Ids in the form of a GUID are lower-cased, others are not.
func (c Change) Keys() []string {
	keys := make([]string, 0, 2)
	if c.ParticipantID != "" {
		keys = append(keys, "participant:"+FoldGUID(c.ParticipantID))
	}
	if c.Kind != NoIdentity {
		keys = append(keys, c.Kind.String()+":"+FoldGUID(c.ID))
	}
	return keys
}

// CallKey returns "<tenant>/<call>", with ids in the form of a GUID
// lower-cased. The tenant may be empty.
func (c Change) CallKey() string {
	return FoldGUID(c.TenantID) + "/" + FoldGUID(c.CallID)
}

// FoldGUID lower-cases s if it has the form of a GUID. Other ids are left
// alone, as nothing says that their case does not matter.
func FoldGUID(s string) string {
	if isGUID, lower := guid(s); !isGUID || lower {
		return s
	}
	return strings.ToLower(s)
}

// guid tells whether s has the form of a GUID, and has no upper case.
func guid(s string) (is, lower bool) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false, false
	}
	var all byte // what any of its digits is
	for i := range len(s) {
		d := hexDigits[s[i]]
		if d == 0 && s[i] != '-' {
			return false, false
		}
		all |= d
	}
	// Only 4 are where hyphens belong.
	return strings.Count(s, "-") == 4, all&upperHex == 0
}

// What a byte is as a digit of a GUID.
const (
	lowerHex = 1 << iota
	upperHex
)

var hexDigits = func() (kinds [256]byte) {
	for _, c := range []byte("0123456789abcdef") {
		kinds[c] = lowerHex
	}
	for _, c := range []byte("ABCDEF") {
		kinds[c] = upperHex
	}
	return kinds
}()
