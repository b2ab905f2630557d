// Package work makes the rows that all subjects of a measurement carry out. It
// must not know how they do it.
package work

import (
	"encoding/csv"
	"fmt"
	"io"
)

// Row is one change.
type Row struct {
	Tenant      string `json:"t,omitempty"`
	Call        string `json:"c"`
	Participant string `json:"p,omitempty"` // of a delete that needs no roster
	User        string `json:"u,omitempty"`
	Name        string `json:"n,omitempty"`
	Invite      bool   `json:"i,omitempty"`
}

// perCall is how many rows of one call follow each other.
const perCall = 20

// calls is over how many calls rows are spread.
const calls = 200

// CallPrefix is what the ids of a tenant's calls begin with.
func CallPrefix(tenant string) string {
	if tenant == "" {
		return ""
	}
	return tenant + "-"
}

// Deletes makes n deletes of participants whom nobody has seen: each is exactly
// one request, and answered 404, which means that they are gone.
func Deletes(tenant string, n int) []Row {
	rows := make([]Row, n)
	for i := range rows {
		rows[i] = Row{
			Tenant: tenant, Call: fmt.Sprintf("%scall-%03d", CallPrefix(tenant), i/perCall%calls),
			Participant: fmt.Sprintf("p-%06d", i),
		}
	}
	return rows
}

// Mixed makes rows of n calls, half of them deletes of users who are in the call
// and must be looked up there, half invites of others.
func Mixed(n int) []Row {
	rows := make([]Row, 0, n*perCall)
	for c := range n {
		call := fmt.Sprintf("call-%05d", c)
		for i := range perCall {
			rows = append(rows, Row{Call: call, User: fmt.Sprintf("u-%05d-%02d", c, i), Invite: i%2 == 1})
		}
	}
	return rows
}

// WriteCSV writes the rows as a roster file.
func WriteCSV(w io.Writer, rows []Row) error {
	out := csv.NewWriter(w)
	// The writer keeps its first error for the end.
	_ = out.Write([]string{"action", "call_id", "participant_id", "user_id", "tenant_id"})
	for _, r := range rows {
		action := "delete"
		if r.Invite {
			action = "invite"
		}
		_ = out.Write([]string{action, r.Call, r.Participant, r.User, r.Tenant})
	}
	out.Flush()
	return out.Error()
}
