package work

import (
	"strings"
	"testing"
)

func TestDeletes(t *testing.T) {
	rows := Deletes("a", 4500)
	seen, calls := map[string]bool{}, map[string]bool{}
	for _, r := range rows {
		if seen[r.Participant] {
			t.Fatalf("%s twice", r.Participant)
		}
		if r.Tenant != "a" || !strings.HasPrefix(r.Call, CallPrefix("a")) || r.Invite || r.User != "" {
			t.Fatalf("%+v", r)
		}
		seen[r.Participant], calls[r.Call] = true, true
	}
	if len(rows) != 4500 || len(calls) != 200 {
		t.Errorf("%d rows of %d calls", len(rows), len(calls))
	}
	if r := Deletes("", 1)[0]; r.Tenant != "" || r.Call != "call-000" {
		t.Errorf("without a tenant: %+v", r)
	}
}

func TestMixed(t *testing.T) {
	rows := Mixed(3)
	people, calls, invites := map[string]bool{}, map[string]bool{}, 0
	for _, r := range rows {
		people[r.User], calls[r.Call] = true, true
		if r.Invite {
			invites++
		}
	}
	if len(rows) != 60 || len(people) != 60 || len(calls) != 3 || invites != 30 {
		t.Errorf("%d rows, %d people, %d calls, %d invites", len(rows), len(people), len(calls), invites)
	}
}

func TestWriteCSV(t *testing.T) {
	var b strings.Builder
	rows := []Row{{Tenant: "a", Call: "a-1", Participant: "p-1"}, {Call: "c", User: "u", Invite: true}}
	if err := WriteCSV(&b, rows); err != nil {
		t.Fatal(err)
	}
	want := "action,call_id,participant_id,user_id,tenant_id\ndelete,a-1,p-1,,a\ninvite,c,,u,\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}
