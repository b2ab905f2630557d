package enqueue

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"rollcall/cmd/internal/cli"
	"rollcall/cmd/internal/view"
	"rollcall/internal/ledger"
	"rollcall/internal/ratelimit"
	"rollcall/internal/tasks"
	"rollcall/internal/words"
)

const (
	shownCalls = 10   // as text
	jsonCalls  = 1000 // as JSON
)

// planned is the JSON of a plan.
type planned struct {
	State      *ledger.State `json:"state"` // of the batch, if it is there already
	Superseded int64         `json:"superseded"`
	Requests   requests      `json:"requests"`
	Limit      *limit        `json:"limit"`
	Seconds    *float64      `json:"seconds"`
	Calls      []call        `json:"calls"`
	MoreCalls  int64         `json:"more_calls"`
	Live       *looked       `json:"live,omitempty"`

	whole bool // the batch is there, all of it
}

type requests struct {
	Total       int64 `json:"total"`
	Invitations int64 `json:"invitations"`
	Removals    int64 `json:"removals"`
	Rosters     int64 `json:"rosters"`
}

// limit is the rate at which requests are sent.
type limit struct {
	Rate   float64 `json:"rate"`   // requests a second
	Source string  `json:"source"` // who says so
	pause  time.Duration
}

type call struct {
	TenantID   string `json:"tenant_id"`
	CallID     string `json:"call_id"`
	Invites    int64  `json:"invites"`
	Deletes    int64  `json:"deletes"`
	Superseded int64  `json:"superseded"`
	Live       *live  `json:"live,omitempty"`
}

// live is what rosters say: outcomes that rows would have, or that nobody can tell.
type live struct {
	Removed        int64 `json:"removed"`
	AlreadyRemoved int64 `json:"already_removed"`
	Invited        int64 `json:"invited"`
	AlreadyPresent int64 `json:"already_present"`
	CallEnded      int64 `json:"call_ended"`
	Unknown        int64 `json:"unknown"`
	UnknownInvites int64 `json:"unknown_invites"`
	UnknownDeletes int64 `json:"unknown_deletes"`
	Shown          int64 `json:"shown"`

	Complete *bool  `json:"complete,omitempty"` // of one call: its roster shows everybody
	Why      string `json:"why,omitempty"`      // of one call: what cannot be known
}

// looked is live of all calls.
type looked struct {
	live
	Calls rosters `json:"calls"`
}

// rosters are numbers of calls.
type rosters struct {
	Complete   int64 `json:"complete"`
	Cut        int64 `json:"cut"` // they may have more participants than Graph shows
	Ended      int64 `json:"ended"`
	Unreadable int64 `json:"unreadable"`
}

// plan is --dry-run.
func (s *settings) plan(ctx context.Context, c *cli.Command, r tasks.Request) error {
	a := s.lookAround(ctx, c, r)
	defer a.close()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p, err := tasks.NewPlan(ctx, r)
	if err != nil {
		return err
	}
	fresh := a.batch == nil || !a.batch.Sealed // otherwise nothing would be enqueued, and nothing is checked
	check := fresh && s.guarded()
	if *s.live || check && s.maxDeletes.NeedsRosters() {
		if err := s.look(ctx, c, a.rdb, p, r); err != nil {
			return err
		}
	}
	var refused *invalidOutput
	var unsure error
	if check || fresh && *s.live {
		refused, unsure = s.excess(c, p)
	}
	out := s.planned(c, p, &a)
	if *s.output == "json" {
		err = c.JSON(enqueued{Summary: view.SummaryOf(p.Batch), Existing: a.batch != nil, Plan: out, invalidOutput: refused})
	} else {
		s.printPlan(c, p, out)
		if refused != nil {
			s.listErrors(c, refused.Errors, refused.More)
			c.Printf("error: too many deletes: enqueue would refuse this file; say --yes if it is meant\n")
		}
	}
	switch {
	case err != nil:
		return err
	case unsure != nil:
		return unsure
	case refused != nil:
		return cli.Exit(cli.StatusInvalidRows)
	}
	return nil
}

func (s *settings) planned(c *cli.Command, p *tasks.Plan, a *around) *planned {
	out := &planned{Superseded: p.Superseded, Calls: []call{}}
	if a.batch != nil {
		out.State, out.whole = &a.batch.State, a.batch.Sealed
	}
	byTenant := map[string]tasks.Requests{}
	var all tasks.Requests
	for tenant, n := range p.Requests(s.worker.Confirms()) {
		all.Add(n)
		tenant = cmp.Or(tenant, strings.ToLower(cmp.Or(*s.tenantID, c.Env("AZURE_TENANT_ID"))))
		n.Add(byTenant[tenant])
		byTenant[tenant] = n
	}
	out.Requests = requests{all.Total(), all.Invitations, all.Removals, all.Rosters}
	out.Limit, out.Seconds = s.duration(byTenant, a.fleet)
	for _, k := range p.Calls(jsonCalls) {
		one := call{TenantID: k.Tenant, CallID: k.Call, Invites: k.Invites, Deletes: k.Deletes, Superseded: k.Superseded}
		if *s.live && k.Live != nil {
			l := liveOf(k.Live)
			if l.Why = k.Live.Doubt(); k.Live.Err == nil && !k.Live.Ended {
				l.Complete = &k.Live.Complete
			}
			one.Live = &l
		}
		out.Calls = append(out.Calls, one)
	}
	out.MoreCalls = p.Batch.Totals.Calls - int64(len(out.Calls))
	if *s.live {
		l := p.Looked()
		out.Live = &looked{live: liveOf(&l.Live), Calls: rosters{l.Whole, l.Cut, l.Over, l.Unreadable}}
	}
	return out
}

func liveOf(l *tasks.Live) live {
	return live{
		Removed: l.Removed, AlreadyRemoved: l.AlreadyRemoved, Invited: l.Invited, AlreadyPresent: l.AlreadyPresent,
		CallEnded: l.CallEnded, Unknown: l.Unknown(), UnknownInvites: l.UnknownInvites, UnknownDeletes: l.UnknownDeletes, Shown: l.Shown,
	}
}

// duration is how long the requests take of the tenant that takes longest, each of
// which has its own limit, and that limit; nil if that of one is not known.
func (s *settings) duration(byTenant map[string]tasks.Requests, fleet []ratelimit.State) (slowest *limit, seconds *float64) {
	for tenant, n := range byTenant {
		l := s.limitOf(tenant, fleet)
		if l == nil {
			return nil, nil
		}
		took := math.Round(1000*(l.pause.Seconds()+float64(n.Total())/l.Rate)) / 1000
		if seconds == nil || took > *seconds {
			slowest, seconds = l, &took
		}
	}
	return slowest, seconds
}

// Who says what the limit is.
const (
	byFlag  = "--rate"
	byFleet = "fleet"
	byNow   = "present rate" // Graph has refused nothing yet, and may take more
)

// limitOf is the limit that is known for a tenant: what the workers have found for
// it or, without its name, for the only one they know, and --rate if that is less.
func (s *settings) limitOf(tenant string, fleet []ratelimit.State) *limit {
	var st *ratelimit.State
	for i := range fleet { // the latest first
		if scope := fleet[i].Scope; scope[strings.LastIndexByte(scope, '/')+1:] == tenant {
			st = &fleet[i]
			break
		}
	}
	if st == nil && len(fleet) == 1 {
		st = &fleet[0]
	}
	flag := s.worker.Rate() // a ceiling: what was found below it stands
	var l limit
	if st != nil {
		l = limit{Rate: st.Limit, Source: byFleet, pause: st.Pause}
		if st.Ceiling > 0 && (l.Rate <= 0 || st.Ceiling < l.Rate) {
			l.Rate = st.Ceiling
		}
	}
	if flag > 0 && (l.Rate <= 0 || flag < l.Rate) {
		l.Rate, l.Source = flag, byFlag
	}
	if l.Rate <= 0 && st != nil {
		l.Rate, l.Source = st.Rate, byNow
	}
	if !(l.Rate > 0 && l.Rate <= math.MaxInt32) {
		return nil
	}
	l.Rate = math.Round(100*l.Rate) / 100
	return &l
}

// printPlan prints the plan for people.
func (s *settings) printPlan(c *cli.Command, p *tasks.Plan, out *planned) {
	var b strings.Builder
	fmt.Fprintf(&b, "would enqueue %s; nothing was enqueued\n", describe(p.Batch))
	switch {
	case out.whole:
		fmt.Fprintf(&b, "  the batch is already there (%s): enqueue would add nothing to what it has\n", *out.State)
	case out.State != nil:
		fmt.Fprintf(&b, "  the batch is already there (%s), and its enqueue was interrupted: this would complete it\n", *out.State)
	}
	if out.Superseded > 0 {
		fmt.Fprintf(&b, "  superseded, as later rows are about the same participants: %d\n", out.Superseded)
	}
	writeCalls(&b, p, out)
	if out.Live != nil {
		writeLive(&b, p, out.Live)
	}
	if out.whole {
		c.Printf("%s", b.String())
		return
	}
	r := out.Requests
	fmt.Fprintf(&b, "  at least %s to Graph: %s (of up to 5), %s, %s", words.Some(r.Total, "request"), words.Some(r.Invitations, "invitation"), words.Some(r.Removals, "removal"), words.Some(r.Rosters, "roster"))
	if out.Live == nil {
		b.WriteString("; fewer if some are where they are to be already: --live looks")
	}
	b.WriteString("\n")
	writeTime(&b, out)
	c.Printf("%s", b.String())
}

func writeTime(b *strings.Builder, out *planned) {
	if out.Limit == nil {
		b.WriteString("  how long that takes is not known, as the limit is not: name one with --rate N (requests a second)\n")
		return
	}
	source, least := out.Limit.Source, "at least"
	switch source {
	case byFleet:
		source = "by what the workers have found"
	case byNow:
		source, least = "what workers send at present: Graph has refused nothing yet, and may take more", "about"
	}
	fmt.Fprintf(b, "  at %s requests a second (%s) that takes %s %s", words.Rate(out.Limit.Rate), source, least, roughly(*out.Seconds))
	if out.Limit.pause > 0 {
		fmt.Fprintf(b, ", of which Graph has asked the workers to wait %s", roughly(out.Limit.pause.Seconds()))
	}
	b.WriteString("\n")
}

// roughly is a time for people.
func roughly(seconds float64) string {
	if seconds < 0.05 {
		return "a moment"
	}
	return words.Duration(time.Duration(seconds * float64(time.Second)))
}

func writeCalls(b *strings.Builder, p *tasks.Plan, out *planned) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	row := func(cells ...any) {
		for i, cell := range cells {
			sep := "\t"
			if i == 0 {
				sep = "  "
			}
			_, _ = fmt.Fprint(w, sep, cell)
		}
		_, _ = fmt.Fprintln(w)
	}
	head := []any{"CALL", "INVITES", "DELETES", "SUPERSEDED"}
	if out.Live != nil {
		head = append(head, "REMOVED", "ALREADY_REMOVED", "INVITED", "ALREADY_PRESENT", "CALL_ENDED", "UNKNOWN")
	}
	row(head...)
	shown := out.Calls[:min(len(out.Calls), shownCalls)]
	for _, k := range shown {
		name := k.CallID
		if k.TenantID != "" {
			name = k.TenantID + "/" + name
		}
		cells := []any{name, k.Invites, k.Deletes, k.Superseded}
		if l := k.Live; l != nil {
			cells = append(cells, l.Removed, l.AlreadyRemoved, l.Invited, l.AlreadyPresent, l.CallEnded, l.Unknown)
		}
		row(cells...)
	}
	_ = w.Flush() // into memory
	if n := p.Batch.Totals.Calls - int64(len(shown)); n > 0 {
		fmt.Fprintf(b, "  and %s\n", words.Some(n, "more call"))
	}
}

// writeLive says what the rosters tell in all, and of which calls they do not.
func writeLive(b *strings.Builder, p *tasks.Plan, l *looked) {
	b.WriteString("  by the rosters as they are now:\n")
	for _, o := range []struct {
		name string
		n    int64
	}{
		{"removed", l.Removed}, {"already_removed", l.AlreadyRemoved}, {"invited", l.Invited},
		{"already_present", l.AlreadyPresent}, {"call_ended", l.CallEnded}, {"unknown", l.Unknown},
	} {
		if o.n > 0 {
			fmt.Fprintf(b, "    %-15s  %d\n", o.name, o.n)
		}
	}
	if l.Unknown == 0 {
		return
	}
	fmt.Fprintf(b, "  what cannot be known: %s may have more participants than Graph shows, %s cannot be read\n", words.Some(l.Calls.Cut, "call"), words.Some(l.Calls.Unreadable, "roster"))
	unsure := p.Unsure(shownCalls)
	for _, k := range unsure {
		fmt.Fprintf(b, "    call %s: %s\n", k.Call, k.Live.Doubt())
	}
	if n := l.Calls.Cut + l.Calls.Unreadable - int64(len(unsure)); n > 0 && len(unsure) == shownCalls {
		b.WriteString("    and more calls\n")
	}
}
