package roster_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"rollcall/internal/roster"
)

func Example() {
	const text = `Action;Call ID;User ID;Phone;Note
invite;2d07f8b9-6a3c-4f65-9d2e-0c3a4b5d6e7f;;+14255550100;first
delete;2d07f8b9-6a3c-4f65-9d2e-0c3a4b5d6e7f;9E107D9D-372B-4682-8C2F-5B1E6A7F0D13;;
`
	ctx := context.Background()
	in, err := roster.Open([]string{"-"}, strings.NewReader(text))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer in.Close()
	var o roster.Options
	sum, err := in.Check(ctx, o)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sum.Rows, "rows;", sum.Notices[0])
	err = in.Each(ctx, o, func(r roster.Record) error {
		fmt.Println(r.Change.Row, r.Change.Action, r.Change.Keys()[0])
		return nil
	}, nil)
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// 2 rows; stdin: not used, but kept for the report: Note
	// 1 invite phone:+14255550100
	// 2 delete user:9e107d9d-372b-4682-8c2f-5b1e6a7f0d13
}

// TestExampleFile keeps the file that the documentation runs good, and every
// case in it that the documentation speaks of.
func TestExampleFile(t *testing.T) {
	const name = "../../examples/roster.csv"
	in, err := roster.Open([]string{name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	sum, err := in.Check(t.Context(), roster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	calls, cases, seen := map[string]int{}, map[string]int{}, map[string]int64{}
	err = in.Each(t.Context(), roster.Options{}, func(r roster.Record) error {
		c := r.Change
		calls[c.CallKey()]++
		cases[fmt.Sprint(c.Action, " ", c.Kind)]++
		if strings.HasPrefix(c.CallID, "ended-") {
			cases["ended call"]++
		}
		if strings.HasPrefix(c.ID+c.ParticipantID, "gone-") {
			cases["gone "+c.Kind.String()]++
		}
		for _, key := range c.Keys() {
			if seen[c.CallKey()+key] != 0 {
				cases["newer row"]++
			}
			seen[c.CallKey()+key] = c.Row
		}
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Rows < 44 || len(calls) != 4 {
		t.Errorf("%d rows over %d calls", sum.Rows, len(calls))
	}
	want := []string{"invite user", "invite phone", "delete none", "delete user", "ended call", "gone none", "gone user", "newer row"}
	for _, w := range want {
		if cases[w] == 0 {
			t.Errorf("no %s", w)
		}
	}
}
