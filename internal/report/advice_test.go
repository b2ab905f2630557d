package report

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"rollcall/internal/ledger"
)

var update = flag.Bool("update", false, "write what is generated into docs/outcomes.md")

// answer is the last answer of Graph to a row, and how the page names it.
type answer struct {
	status int
	code   string
	named  string
}

// answersOf are the answers between which the advice about an outcome differs.
var answersOf = map[ledger.Outcome][]answer{
	ledger.Rejected: {
		{403, "", "403"}, {404, "", "404"}, {400, "", "400, or another 4xx"}, {0, "", "none: it was not sent"},
	},
	ledger.Declined: {{200, "", "no code"}, {200, "412", "a code, such as 403, 412 or 500"}},
	ledger.Unresolved: {
		{403, "", "403"}, {503, "", "another error"}, {0, "", "none, or a roster"},
	},
	ledger.Exhausted: {
		{401, "", "401"}, {503, "", "5xx"}, {0, "", "none"},
	},
}

const (
	pagePath = "../../docs/outcomes.md"
	begins   = "<!-- generated from internal/report/advice.go: go test ./internal/report -run OutcomesPage -update -->\n"
	ends     = "<!-- generated until here -->\n"
)

// TestOutcomesPage makes sure that the page about outcomes gives the advice that
// the console and reports give.
func TestOutcomesPage(t *testing.T) {
	text, err := os.ReadFile(pagePath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begins)
	_, after, closed := strings.Cut(rest, ends)
	if !ok || !closed {
		t.Fatalf("%s has no part to be generated", pagePath)
	}
	want := before + begins + adviceTable() + ends + after
	if want == string(text) {
		return
	}
	if !*update {
		t.Fatalf("%s does not say what the console says: run 'go test ./internal/report -run OutcomesPage -update'", pagePath)
	}
	if err := os.WriteFile(pagePath, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

func adviceTable() string {
	var b strings.Builder
	for _, g := range []ledger.Group{ledger.GroupDone, ledger.GroupSkipped, ledger.GroupFailed} {
		name := g.String()
		fmt.Fprintf(&b, "\n## %s\n\n| Outcome | Graph's answer | What happened | What to do |\n|---|---|---|---|\n", strings.ToUpper(name[:1])+name[1:])
		for _, o := range ledger.Outcomes() {
			if o.Group() != g {
				continue
			}
			told := map[Advice]bool{}
			for _, a := range answersOf[o] {
				told[adviceAfter(o, a)] = true
			}
			all := answersOf[o]
			if len(told) < 2 { // it makes no difference
				all = []answer{{}}
			}
			for _, a := range all {
				advice := adviceAfter(o, a)
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", o, a.named, advice.What, cmp.Or(advice.Do, "Nothing."))
			}
		}
	}
	b.WriteByte('\n')
	return b.String()
}

// adviceAfter is the advice without the words for the status, which stands for others.
func adviceAfter(o ledger.Outcome, a answer) Advice {
	advice := Advise(o, a.status, a.code)
	advice.What = strings.Replace(advice.What, " ("+statusText(a.status)+")", "", 1)
	return advice
}

// TestAnswersOf makes sure that no advice is left out of the page.
func TestAnswersOf(t *testing.T) {
	table := adviceTable()
	for _, o := range ledger.Outcomes() {
		for status := range 600 {
			for _, code := range []string{"", "412"} {
				a := adviceAfter(o, answer{status: status, code: code})
				if row := fmt.Sprintf("| %s | %s |\n", a.What, cmp.Or(a.Do, "Nothing.")); !strings.Contains(table, row) {
					t.Fatalf("%s after %d %q is not in the page: %+v", o, status, code, a)
				}
			}
		}
	}
}
