package ledger

import "strings"

// phrases are texts that the details of very many rows begin with, and are kept as
// one byte: Redis keeps a hash small only while its values are short. One that is
// not used any more stays, for batches that have it.
var phrases = [...]string{
	1:  "seen on the roster of the call",
	2:  "accepted by Graph; not confirmed",
	3:  "accepted by Graph; not confirmed; operation ",
	4:  "an invitation was to be sent; whether Graph took it is not known",
	5:  "not on the roster of the call, which is complete",
	6:  "on the roster of the call already",
	7:  "the participant was gone already",
	8:  "the call has ended or never was",
	9:  "a newer change to the same participant exists",
	10: "the batch was cancelled",
	11: "not applied before the deadline of the batch",
	12: "no answer: not on the roster of the call ",
	13: "Graph had a temporary error; some tenants get 500 (9999) instead of a permission error, so check the app's permissions if it stays",
	14: "Graph forbids it: the app needs Calls.InitiateGroupCall.All with admin consent",
	15: "Graph forbids it: the app needs Calls.JoinGroupCall.All (or Calls.JoinGroupCallAsGuest.All), and the tenant's admin must have run Set-CsApplicationMeetingConfiguration -AllowRemoveParticipantAppIds @{Add=\"<app id>\"}",
}

const (
	// plainDetail stands before a detail that begins like one of these.
	plainDetail = 0x1f
	// operationMark stands for the operation of the row's intent.
	operationMark = 0x7e
)

// appendDetail writes a detail: the longest phrase that it begins with, and the
// rest, of which a GUID takes 16 bytes.
func appendDetail(b []byte, s, operation string) []byte {
	s = clip(s, maxDetail)
	best := 0
	for i, p := range phrases {
		if i > 0 && len(p) > len(phrases[best]) && strings.HasPrefix(s, p) {
			best = i
		}
	}
	if best == 0 {
		if s != "" && s[0] <= plainDetail {
			b = append(b, plainDetail)
		}
		return append(b, s...)
	}
	b = append(b, byte(best))
	rest := s[len(phrases[best]):]
	switch {
	case rest == "":
		return b
	case rest == operation:
		return append(b, operationMark)
	case rest[0] == operationMark, rest[0] == guidMark:
		b[len(b)-1] = plainDetail // it would be taken for a mark
		return append(b, s...)
	}
	if text := appendText(nil, rest); text[0] == guidMark {
		return append(b, text...)
	}
	return append(b, rest...)
}

// readDetail reads it back.
func readDetail(b []byte, operation string) (detail string, ok bool) {
	if len(b) == 0 {
		return "", true
	}
	first, rest := b[0], b[1:]
	switch {
	case first == plainDetail:
		return string(rest), true
	case first > plainDetail:
		return string(b), true
	case int(first) >= len(phrases) || first == 0:
		return "", false
	}
	detail = phrases[first]
	switch {
	case len(rest) == 1 && rest[0] == operationMark:
		return detail + operation, true
	case len(rest) > 0 && rest[0] == guidMark:
		d := decoder{rest: rest}
		text := d.text()
		return detail + text, !d.bad && len(d.rest) == 0
	}
	return detail + string(rest), true
}
