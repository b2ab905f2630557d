package graphsim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// invitees is a body that invites users, each under their own participant id.
func invitees(clientContext string, ids ...string) string {
	var list []string
	for _, id := range ids {
		list = append(list, `{"participantId":"p-`+id+`","identity":{"user":{"id":"`+id+`"}}}`)
	}
	return `{"clientContext":"` + clientContext + `","participants":[` + strings.Join(list, ",") + `]}`
}

// Only the first failure is told, and only when all is over; or at once, when
// the others may still join.
func TestSeveralInviteesFail(t *testing.T) {
	for _, failFast := range []bool{false, true} {
		for _, look := range []time.Duration{100 * time.Millisecond, 10 * time.Second} {
			t.Run(fmt.Sprintf("%v every %v", failFast, look), func(t *testing.T) {
				s, clock := newSim(t, Config{RingMin: time.Second, RingMax: 10 * time.Second, OperationLife: time.Minute, FailFast: failFast})
				s.AddCall("c")
				ids := []string{"noanswer-1", "refuses-1", "u-1", "refuses-2"}
				first, at := "", time.Hour
				for _, id := range ids {
					out, ring := s.decide("c", Participant{Kind: "user", Identity: id})
					if out != answers && ring < at {
						first, at = id, ring
					}
				}
				op := parse[operationBody](t, ask(s, "POST", base+"c/participants/invite", invitees("", ids...)))
				for elapsed := time.Duration(0); elapsed <= 10*time.Second; elapsed += look {
					if elapsed > 0 {
						clock.add(look)
					}
					over := elapsed >= 10*time.Second || failFast && elapsed >= at
					op = parse[operationBody](t, ask(s, "GET", base+"c/operations/"+op.ID, ""))
					if want := map[bool]string{false: "Running", true: "Failed"}[over]; op.Status != want || (op.ResultInfo != nil) != over {
						t.Fatalf("after %v: %+v, want %s", elapsed, op, want)
					}
				}
				if !strings.Contains(op.ResultInfo.Message, first+". ") {
					t.Errorf("%q does not name %s, who failed first", op.ResultInfo.Message, first)
				}
				for _, id := range ids {
					if id != first && strings.Contains(op.ResultInfo.Message, id) {
						t.Errorf("%q names %s, too", op.ResultInfo.Message, id)
					}
				}
				if c := s.State().Calls["c"]; len(c.Participants) != 1 || !slices.Equal(c.Joined, []string{"user:u-1"}) {
					t.Errorf("%+v", c)
				}
				// An operation is finished when its status is final.
				clock.add(time.Minute - (10*time.Second - at) + 1)
				if rec := ask(s, "GET", base+"c/operations/"+op.ID, ""); (rec.Code == 404) != failFast {
					t.Errorf("%d %s", rec.Code, rec.Body)
				}
			})
		}
	}
}

func TestFatesComeTrue(t *testing.T) {
	s, _ := newSim(t, Config{Seed: 3, DeclineRate: 0.3, NoAnswerRate: 0.3, AutoCalls: true})
	var answered []string
	count := map[string]int{}
	for i := range 100 {
		id := fmt.Sprintf("u-%02d", i)
		fate := s.Fate("c", "user", id)
		count[fate]++
		if fate == "answers" {
			answered = append(answered, "user:"+id)
		}
		ask(s, "POST", base+"c/participants/invite", invitees("row "+id, id))
	}
	if len(count) != 3 || count["answers"] == 0 || count["declines"] == 0 || count["no answer"] == 0 {
		t.Errorf("fates %v", count)
	}
	for i, r := range s.Requests(0) {
		if r.ClientContext != fmt.Sprintf("row u-%02d", i) {
			t.Errorf("%+v", r)
		}
	}
	// Joined stays when people leave, and when the call ends.
	for _, key := range answered {
		if rec := ask(s, "DELETE", base+"c/participants/p-"+strings.TrimPrefix(key, "user:"), ""); rec.Code != 204 {
			t.Errorf("%s: %d", key, rec.Code)
		}
	}
	if c := s.State().Calls["c"]; len(c.Participants) != 0 || !slices.Equal(c.Joined, answered) {
		t.Errorf("%d are here, joined %v, want %v", len(c.Participants), c.Joined, answered)
	}
	s.EndCall("c")
	if c := s.State().Calls["c"]; !c.Ended || !slices.Equal(c.Joined, answered) {
		t.Errorf("%+v", c)
	}
	for _, tt := range [][4]string{
		{"c", "phone", "refuses-1", "declines"}, {"c", "user", "noanswer-1", "no answer"},
		{"peer-1", "user", "refuses-1", "declines"},
		{"c", "user", "malformed-1", ""}, {"ended-1", "user", "u", ""},
	} {
		if got := s.Fate(tt[0], tt[1], tt[2]); got != tt[3] {
			t.Errorf("%q, want %q", got, tt)
		}
	}
}

// What answers before a call ends has joined it, though nobody looked.
func TestJoinedBeforeTheEnd(t *testing.T) {
	s, clock := newSim(t, Config{RingMin: time.Second, RingMax: time.Second})
	s.AddCall("c")
	ask(s, "POST", base+"c/participants/invite", one("u-1"))
	clock.add(time.Second)
	s.EndCall("c")
	if c := s.State().Calls["c"]; !slices.Equal(c.Joined, []string{"user:u-1"}) {
		t.Errorf("%+v", c)
	}
}

func TestPeerCalls(t *testing.T) {
	s, _ := newSim(t, Config{AutoCalls: true})
	invite := base + "peer-1/participants/invite"
	rec := ask(s, "POST", invite, invitees("", "u-1", "u-2"))
	if rec.Code != 400 || code(t, rec) != "BadRequest" || !strings.Contains(rec.Body.String(), "not a group call") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	for _, id := range []string{"u-1", "u-2"} {
		if rec := ask(s, "POST", invite, invitees("", id)); rec.Code != 200 {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	}
	if c := s.State().Calls["peer-1"]; len(c.Participants) != 2 || s.Counters().RungAgain != 0 {
		t.Errorf("%+v", c)
	}
}
