package graphsim

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Config configures a [Sim]. The zero value is a service without calls that
// accepts any token, answers at once and never throttles.
type Config struct {
	// Seed makes runs repeat: outcomes of invitations, ids, faults by order.
	Seed uint64
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Token is the only bearer token accepted; empty accepts any but none.
	Token string
	// Latency is how long every request takes before it is applied.
	Latency time.Duration
	// RingMin and RingMax bound how long an invitation rings.
	RingMin, RingMax time.Duration
	// AnswerRate, DeclineRate and NoAnswerRate are the shares of identities that
	// do so. An AnswerRate of 0 is what the others leave of 1.
	AnswerRate, DeclineRate, NoAnswerRate float64
	// FailFast makes an operation fail with the first of its invitees who does,
	// while the others ring on: they may still join, whatever it says. By default
	// an operation runs until nobody of it is rung any more.
	FailFast bool
	Limit    Limit
	Tenants  Tenants
	Faults   Faults
	// Slow is how much longer a request with the fault "slow" takes. Default 2 s.
	Slow time.Duration
	// AutoCalls makes a call exist when it is first named.
	AutoCalls bool
	// PageSize, if not 0, splits rosters into pages with nextLinks. By default
	// a roster shows its first 100 entries, as Graph does.
	PageSize int
	// OperationLife is how long a finished operation can be read. Default 5 min;
	// negative: not at all.
	OperationLife time.Duration
	// MaxRecords caps how many requests are kept. Default 1,000,000.
	MaxRecords int
}

func (c Config) check() error {
	if c.RingMin < 0 || c.RingMax < c.RingMin {
		return errors.New("graphsim: the ring time must not be negative nor end before it begins")
	}
	for _, rate := range [...]float64{c.AnswerRate, c.DeclineRate, c.NoAnswerRate} {
		if !(rate >= 0 && rate <= 1) {
			return errors.New("graphsim: the rates of answers must be between 0 and 1")
		}
	}
	if c.Latency < 0 || c.Slow < 0 || c.PageSize < 0 || c.MaxRecords < 0 {
		return errors.New("graphsim: a time, size or count is negative")
	}
	return cmp.Or(c.Limit.check(), c.Tenants.check(), c.Faults.check())
}

// The formats of a Retry-After header.
const (
	RetrySeconds  = "seconds" // whole seconds, rounded up; the default
	RetryFraction = "fraction"
	RetryDate     = "date"
	RetryNone     = "none" // no header
)

// Limit is what a bearer token may send: a token bucket (Rate and Burst) or a
// fixed window (Window requests in Per). The zero value is no limit.
//
// A request sent before an announced Retry-After is over is refused, and the
// wait starts anew.
type Limit struct {
	Rate  float64 `json:"rate,omitempty"`  // requests a second
	Burst int     `json:"burst,omitempty"` // default: Rate, at least 1

	Window int      `json:"window,omitempty"`
	Per    Duration `json:"per,omitempty"`

	// RetryAfter is the wait announced; 0: until a request would be accepted.
	RetryAfter Duration `json:"retry_after,omitempty"`
	Format     string   `json:"format,omitempty"` // one of the Retry constants

	// Reads, if set, is what GET requests are counted by instead, apart from all
	// others: what is announced to the ones does not hold for the others. It
	// takes nothing over from the limit it is in, and has no Reads itself.
	Reads *Limit `json:"reads,omitempty"`
}

func (l Limit) check() error {
	switch {
	case !(l.Rate >= 0 && l.Rate <= 1e9) || l.Burst < 0 || l.Window < 0 || l.Per < 0 || l.RetryAfter < 0:
		return errors.New("graphsim: a limit must not be negative")
	case l.Rate > 0 && l.Window > 0:
		return errors.New("graphsim: a limit is a rate or a window, not both")
	case l.Window > 0 && l.Per <= 0:
		return errors.New("graphsim: a window needs a time")
	}
	switch l.Format {
	case "", RetrySeconds, RetryFraction, RetryDate, RetryNone:
	default:
		return errors.New("graphsim: the format of Retry-After is one of seconds, fraction, date, none")
	}
	switch {
	case l.Reads == nil:
		return nil
	case l.Reads.Reads != nil:
		return errors.New("graphsim: the limit of reads has no reads of its own")
	}
	return l.Reads.check()
}

// clone is a copy that shares nothing.
func (l Limit) clone() Limit {
	if l.Reads != nil {
		reads := *l.Reads
		l.Reads = &reads
	}
	return l
}

// Tenants are limits by name that hold for the calls of a tenant, whatever the
// bearer token, and each alone.
type Tenants map[string]Tenant

// Tenant is a part of the calls with a limit of its own.
type Tenant struct {
	// Calls is what the ids of its calls begin with, without case. Where that
	// holds for several tenants, the longest decides.
	Calls string `json:"calls"`
	Limit Limit  `json:"limit"`
}

func (t Tenants) check() error {
	seen := make(map[string]bool, len(t))
	for _, name := range slices.Sorted(maps.Keys(t)) {
		prefix := strings.ToLower(t[name].Calls)
		switch {
		case name == "":
			return errors.New("graphsim: a tenant needs a name")
		case prefix == "":
			return fmt.Errorf("graphsim: tenant %q needs what the ids of its calls begin with", name)
		case seen[prefix]:
			return fmt.Errorf("graphsim: the calls of tenant %q are another's already", name)
		}
		seen[prefix] = true
		if err := t[name].Limit.check(); err != nil {
			return fmt.Errorf("%w (tenant %q)", err, name)
		}
	}
	return nil
}

// tenant is a Tenant made ready.
type tenant struct {
	name, prefix string
	limit        Limit
}

// compile gives the tenants in the order in which they are asked.
func (t Tenants) compile() []tenant {
	list := make([]tenant, 0, len(t))
	for name, v := range t {
		list = append(list, tenant{name, strings.ToLower(v.Calls), v.Limit.clone()})
	}
	slices.SortFunc(list, func(a, b tenant) int { return len(b.prefix) - len(a.prefix) })
	return list
}

// Duration is a time.Duration that JSON and flags spell "1.5s".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// MarshalText writes what UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Faults are the rates, from 0 to 1, of things going wrong, by name; a name of
// the form "invite.lost" is for one kind of request and beats "lost". Of several
// faults a request has at most one.
type Faults map[string]float64

// The faults.
const (
	FaultUnavailable  = "unavailable"  // 503, not applied
	FaultInternal     = "internal"     // 500 with code 9999, not applied
	FaultUnauthorized = "unauthorized" // 401, not applied
	FaultReset        = "reset"        // connection closed, not applied
	FaultSlow         = "slow"         // applied, answered late
	FaultLost         = "lost"         // applied, connection closed
	FaultGateway      = "gateway"      // applied, answered 504 with an HTML page
	FaultCut          = "cut"          // applied, body of the answer cut short
)

var faultNames = [...]string{FaultUnavailable, FaultInternal, FaultUnauthorized, FaultReset,
	FaultSlow, FaultLost, FaultGateway, FaultCut}

// The kinds of request.
const (
	KindInvite      = "invite"
	KindDelete      = "delete"
	KindRoster      = "roster"
	KindParticipant = "participant"
	KindOperation   = "operation"
	KindOther       = "other" // what the API does not have
)

var kinds = [...]string{KindInvite, KindDelete, KindRoster, KindParticipant, KindOperation}

func (f Faults) check() error {
	for _, name := range slices.Sorted(maps.Keys(f)) {
		kind, fault, ok := strings.Cut(name, ".")
		if !ok {
			kind, fault = kinds[0], name
		}
		if !slices.Contains(kinds[:], kind) || !slices.Contains(faultNames[:], fault) {
			return fmt.Errorf("graphsim: no fault is called %q; the faults are %s, for one kind of request with one of %s in front, as in invite.lost",
				name, strings.Join(faultNames[:], ", "), strings.Join(kinds[:], ", "))
		}
		if rate := f[name]; !(rate >= 0 && rate <= 1) {
			return fmt.Errorf("graphsim: the rate of fault %s must be between 0 and 1", name)
		}
	}
	return nil
}

// compile gives, for each kind, the rates in the order of faultNames.
func (f Faults) compile() map[string][]float64 {
	if len(f) == 0 {
		return nil
	}
	rates := make(map[string][]float64, len(kinds))
	for _, kind := range kinds {
		row := make([]float64, len(faultNames))
		for i, fault := range faultNames {
			rate, ok := f[kind+"."+fault]
			if !ok {
				rate = f[fault]
			}
			row[i] = rate
		}
		rates[kind] = row
	}
	return rates
}
