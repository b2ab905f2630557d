package report

import (
	"html/template"
	"net/http"
	"strconv"
	"strings"

	"rollcall/internal/ledger"
)

// Advice says in words what an outcome means and what to do about it. Commands stand
// in backquotes.
type Advice struct {
	What string // what happened
	Do   string // what to do; empty if nothing is to be done
}

// For names the batch in the commands.
func (a Advice) For(batch string) Advice {
	a.Do = strings.ReplaceAll(a.Do, "BATCH", batch)
	return a
}

// Prose is a text in HTML, with what stands in backquotes as code.
func Prose(text string) template.HTML {
	parts := strings.Split(text, "`")
	for i, p := range parts {
		if parts[i] = template.HTMLEscapeString(p); i%2 == 1 {
			parts[i] = "<code>" + parts[i] + "</code>"
		}
	}
	return template.HTML(strings.Join(parts, "")) //nolint:gosec // escaped above
}

const (
	doRetry = "Run `batch retry BATCH` when the cause is gone; rows that are done stay done."
	doMend  = "Get these rows with `batch report --only failed BATCH`, mend them, and enqueue that file."
)

// meanings are the outcomes for which Graph's answer makes no difference.
var meanings = map[ledger.Outcome]Advice{
	ledger.Pending:        {"no outcome yet", ""},
	ledger.Joined:         {"invited, and then seen in the call", ""},
	ledger.Invited:        {"Graph accepted the invitation; whether they joined is not known", ""},
	ledger.AlreadyPresent: {"in the call before they would have been rung", ""},
	ledger.Removed:        {"Graph removed them from the call", ""},
	ledger.AlreadyRemoved: {"they had left the call before", ""},
	ledger.Superseded:     {"a newer change to the same participant exists, which counts", ""},
	ledger.Expired:        {"not applied before the batch's deadline (--expire)", "If it is still wanted, run `batch retry --only expired BATCH`, and see why it took so long: no worker, a pause, a low limit."},
	ledger.Cancelled:      {"the batch was cancelled before it was their turn", "If it is still wanted, run `batch retry --only cancelled BATCH`."},
	ledger.CallEnded:      {"Graph does not know the call: it has ended, or its id is wrong", "Check the call's id if the call is going on; otherwise nothing."},
}

// Advise tells what the outcome of a row means whose last answer of Graph had that
// HTTP status (0: none) and error code.
func Advise(o ledger.Outcome, status int, code string) Advice {
	if a, ok := meanings[o]; ok {
		return a
	}
	switch o {
	case ledger.Declined:
		return declined(code)
	case ledger.Unresolved:
		return unresolved(status)
	case ledger.Rejected:
		return rejected(status)
	default: // exhausted
		return exhausted(status)
	}
}

func declined(code string) Advice {
	if code == "" {
		return Advice{
			"they were rung and did not answer in time",
			"Ask whether they still should join, then ring them again: `batch retry BATCH`.",
		}
	}
	return Advice{
		"Graph took the invitation, and then it failed: they refused or are busy, cannot be reached, or a policy forbids to ring them",
		"The details have Graph's reason. If it is their own doing, ask them; if it is a number or id, check it; if it is a policy, ask the tenant's admin (calling policy, licence for phone numbers). Then `batch retry BATCH`.",
	}
}

func unresolved(status int) Advice {
	switch {
	case status == http.StatusForbidden:
		return Advice{
			"Graph does not let the app read who is in the call, so it could not be found out",
			"The app needs Calls.JoinGroupCall.All or Calls.InitiateGroupCall.All with an admin's consent in the call's tenant. Then " + lower(doRetry),
		}
	case status >= http.StatusBadRequest && status != http.StatusNotFound:
		return Advice{"Graph could not say who is in the call (" + statusText(status) + "), so it could not be found out", doRetry}
	}
	return Advice{
		"it could not be found out: Graph shows 100 people of a call and stops, or its answer to an invitation was lost",
		"Deletes: name their participant_id instead of the user or phone, or run `batch retry BATCH` when at most 100 are in the call. Invites: see whether they are there; a retry may ring them again.",
	}
}

func rejected(status int) Advice {
	switch status {
	case http.StatusForbidden:
		return Advice{
			"Graph forbids it: the app has no permission for this call or change",
			"Invites need Calls.InitiateGroupCall.All, deletes Calls.JoinGroupCall.All and Set-CsApplicationMeetingConfiguration in the call's tenant, both with an admin's consent. Then " + lower(doRetry),
		}
	case http.StatusNotFound:
		return Advice{"Graph does not find whom or what the row names", "Check the ids: user, tenant and call belong together. " + doMend}
	case 0:
		return Advice{"the row cannot be sent to Graph as it is", doMend}
	}
	return Advice{"Graph refused the request for good (" + statusText(status) + ")", "The details have Graph's words; mostly an id or phone number is malformed. " + doMend}
}

func exhausted(status int) Advice {
	switch {
	case status == http.StatusUnauthorized:
		return Advice{
			"Graph did not accept the worker's token, attempt after attempt",
			"Check that the app's credentials are valid and belong to the tenant of the call. " + doRetry,
		}
	case status != 0:
		return Advice{
			"Graph answered with a temporary error at every attempt",
			"Some tenants get 500 (code 9999) instead of a permission error: check the app's permissions. " + doRetry,
		}
	}
	return Advice{
		"Graph did not answer, or could not be reached, at every attempt",
		"Check the worker's network, proxy and --graph-url. " + doRetry,
	}
}

// Answer names Graph's last answer by its HTTP status and error code.
func Answer(status int, code string) string {
	text := "no answer of Graph"
	if status != 0 {
		text = "HTTP " + strconv.Itoa(status)
	}
	if code != "" {
		text += ", code " + code
	}
	return text
}

// statusText names an HTTP status, also one that nobody knows.
func statusText(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}

// lower makes the beginning of a sentence its middle.
func lower(s string) string { return string(s[0]|0x20) + s[1:] }
