package tasks

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"rollcall/internal/graph/graphsim"
	"rollcall/internal/redistest"
	"rollcall/internal/roster"
)

func TestDeleteLimitText(t *testing.T) {
	for _, text := range []string{"0", "50", "0%", "2.5%", "100%", ".5%", "100.0%"} {
		var l DeleteLimit
		if err := l.Set(text); err != nil || l.String() != text || !l.Given() || l.NeedsRosters() != strings.HasSuffix(text, "%") {
			t.Errorf("%q: %+v, %v", text, l, err)
		}
	}
	for _, text := range []string{"", "%", "-1", "+1", "1e3", "2.5", "100.1%", "NaN%", "inf", "1.2.3%", "5 %", "5%%", "0x10", "99999999999999999999"} {
		l := DeleteLimit{}
		if err := l.Set(text); err == nil || l.Given() {
			t.Errorf("%q was taken: %+v", text, l)
		}
	}
}

// TestExcess: a share is one of each call's roster, and its errors are bounded.
func TestExcess(t *testing.T) {
	t.Parallel()
	redistest.Either(t, func(t *testing.T, rdb *redis.Client) {
		w := newWorld(t, rdb, graphsim.Config{})
		var b strings.Builder
		b.WriteString("action,call_id,participant_id\n")
		for call := range maxExcess + 7 {
			for n := range 4 {
				id := fmt.Sprintf("p%d", n)
				w.sim.AddCall(fmt.Sprint("c", call))
				w.sim.AddParticipant(fmt.Sprint("c", call), graphsim.Participant{ID: id})
				if n < 2 || call == 3 && n == 2 {
					fmt.Fprintf(&b, "delete,c%d,%s\n", call, id)
				}
			}
		}
		p := w.look(b.String(), LookOptions{})
		check := func(text string) ([]roster.Error, int) {
			var l DeleteLimit
			if err := l.Set(text); err != nil {
				t.Fatal(err)
			}
			errs, more, err := p.Excess(&l)
			if err != nil {
				t.Fatal(err)
			}
			return errs, more
		}
		if errs, more := check("75%"); len(errs)+more > 0 {
			t.Errorf("75%%: %v, %d more", errs, more)
		}
		if errs, _ := check("74.9%"); len(errs) != 1 || errs[0].Line != 8 || !strings.Contains(errs[0].Message, `call "c3": 3 participants would be removed, and its roster shows 4`) {
			t.Errorf("74.9%%: %v", errs)
		}
		if errs, more := check("49%"); len(errs) != maxExcess || more != 7 {
			t.Errorf("49%%: %d errors, %d more", len(errs), more)
		}
		all := 2*(maxExcess+7) + 1
		if errs, _ := check(fmt.Sprint(all)); len(errs) > 0 {
			t.Errorf("all: %v", errs)
		}
		if errs, _ := check(fmt.Sprint(all - 1)); len(errs) != 1 || errs[0].Line != 0 || errs[0].Column != 0 {
			t.Errorf("one less: %v", errs)
		}
	})
}
