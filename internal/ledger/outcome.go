package ledger

import "fmt"

// Outcome is the final state of a change; the zero value means that there is
// none yet.
type Outcome uint8

// The outcomes, in the order of the documentation.
const (
	Pending        Outcome = iota
	Joined                 // invited and then seen on the roster, or its operation completed
	Invited                // accepted; not confirmed
	AlreadyPresent         // on the roster before we invited
	Removed                // DELETE answered 204
	AlreadyRemoved         // DELETE answered 404 for the participant, or a complete roster shows them absent
	Superseded             // a newer change to the same participant exists
	Expired                // not applied before the batch's deadline
	Cancelled              // the batch was cancelled
	CallEnded              // Graph says the call does not exist
	Rejected               // Graph refused for good
	Declined               // the invitation failed after acceptance
	Unresolved             // the participant could not be found and absence could not be proven
	Exhausted              // attempts used up on temporary errors
	numOutcomes
)

// Group says what an outcome means for the one who asked for the change.
type Group uint8

// The groups of outcomes.
const (
	GroupPending Group = iota
	GroupDone
	GroupSkipped
	GroupFailed
)

var groupNames = [...]string{GroupPending: "pending", GroupDone: "done", GroupSkipped: "skipped", GroupFailed: "failed"}

func (g Group) String() string { return groupNames[g] }

// letter is what stands for the outcome in Redis; it must never change.
var outcomes = [numOutcomes]struct {
	letter byte
	name   string
	group  Group
}{
	Pending:        {'.', "pending", GroupPending},
	Joined:         {'J', "joined", GroupDone},
	Invited:        {'I', "invited", GroupDone},
	AlreadyPresent: {'P', "already_present", GroupDone},
	Removed:        {'R', "removed", GroupDone},
	AlreadyRemoved: {'A', "already_removed", GroupDone},
	Superseded:     {'S', "superseded", GroupSkipped},
	Expired:        {'E', "expired", GroupSkipped},
	Cancelled:      {'C', "cancelled", GroupSkipped},
	CallEnded:      {'N', "call_ended", GroupSkipped},
	Rejected:       {'X', "rejected", GroupFailed},
	Declined:       {'D', "declined", GroupFailed},
	Unresolved:     {'U', "unresolved", GroupFailed},
	Exhausted:      {'T', "exhausted", GroupFailed},
}

// String is the name of the outcome in reports and JSON.
func (o Outcome) String() string { return outcomes[o].name }

// Group tells what the outcome means.
func (o Outcome) Group() Group { return outcomes[o].group }

func (o Outcome) letter() byte { return outcomes[o].letter }

// Outcomes are all outcomes in the order of the documentation.
func Outcomes() []Outcome {
	all := make([]Outcome, 0, numOutcomes-1)
	for o := Joined; o < numOutcomes; o++ {
		all = append(all, o)
	}
	return all
}

func outcomeOf(letter byte) (Outcome, error) {
	for o := range numOutcomes {
		if outcomes[o].letter == letter {
			return o, nil
		}
	}
	return Pending, fmt.Errorf("ledger: unknown outcome letter %q: the batch was written by another version", letter)
}
