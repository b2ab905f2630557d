package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"rollcall/bench/internal/work"
)

// mix is what a batch is made of.
type mix string

const (
	deletes mix = "deletes"
	invites mix = "invites"
	mixed   mix = "mixed" // one invite to three deletes
)

// perCall is how many rows of one call follow each other.
const perCall = 100

// each makes n rows, the same each time, with ids in the form of Graph's.
func (m mix) each(n int, do func(work.Row)) {
	r := rand.New(rand.NewPCG(1, 2))
	guid := func() string {
		a, b := r.Uint64(), r.Uint64()
		return fmt.Sprintf("%08x-%04x-%04x-%04x-%012x", a>>32, a>>16&0xffff, a&0xffff, b>>48, b&(1<<48-1))
	}
	call := ""
	for i := range n {
		if i%perCall == 0 {
			call = guid()
		}
		row := work.Row{Call: call, Invite: m == invites || m == mixed && i%4 == 0}
		if row.Invite {
			row.User, row.Name = guid(), fmt.Sprint("Guest ", i)
		} else {
			row.Participant = guid()
		}
		do(row)
	}
}

func (m mix) rows(n int) []work.Row {
	rows := make([]work.Row, 0, n)
	m.each(n, func(r work.Row) { rows = append(rows, r) })
	return rows
}

// file writes n rows as a roster, once.
func (b *bench) file(m mix, n int) (path string, err error) {
	path = filepath.Join(b.dir, fmt.Sprintf("%s-%d.csv", m, n))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	_, _ = fmt.Fprintln(w, "action,call_id,participant_id,user_id,display_name") // its error stays
	m.each(n, func(r work.Row) {
		action := "delete"
		if r.Invite {
			action = "invite"
		}
		_, _ = fmt.Fprintf(w, "%s,%s,%s,%s,%s\n", action, r.Call, r.Participant, r.User, r.Name)
	})
	return path, errors.Join(w.Flush(), f.Close())
}

// rate is rows a second.
func rate(rows int, took time.Duration) float64 { return float64(rows) / took.Seconds() }
