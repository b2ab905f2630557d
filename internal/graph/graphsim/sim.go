package graphsim

import (
	"cmp"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Sim is the simulator. It is safe for concurrent use.
type Sim struct {
	cfg Config // but for the fields below, as at New

	mu      sync.Mutex
	limit   Limit
	tenants []tenant // the longest prefixes first
	faults  map[string][]float64
	latency time.Duration
	slow    time.Duration
	calls   map[string]*meeting // by folded id
	buckets map[bucketKey]*bucket
	ids     uint64
	drawn   uint64 // faults drawn
	log     log
}

// New makes a simulator. It errors when a rate, time or limit makes no sense.
func New(cfg Config) (*Sim, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.OperationLife = cmp.Or(cfg.OperationLife, 5*time.Minute)
	return &Sim{
		cfg:     cfg,
		limit:   cfg.Limit.clone(),
		tenants: cfg.Tenants.compile(),
		faults:  cfg.Faults.compile(),
		latency: cfg.Latency,
		slow:    cmp.Or(cfg.Slow, 2*time.Second),
		calls:   map[string]*meeting{},
		buckets: map[bucketKey]*bucket{},
		log:     newLog(cmp.Or(cfg.MaxRecords, 1_000_000)),
	}, nil
}

func (s *Sim) now() time.Time { return s.cfg.Now() }

func (s *Sim) newID() string {
	s.ids++
	return guid(s.cfg.Seed, s.ids)
}

// AddCall makes calls exist. A call that has ended begins anew, empty. Ids that
// begin with "ended-" are passed over.
func (s *Sim) AddCall(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.addCall(id)
	}
}

// addCall gives the call of an id, nil if it never exists.
func (s *Sim) addCall(id string) *meeting {
	if id == "" || strings.HasPrefix(id, "ended-") {
		return nil
	}
	m := s.calls[fold(id)]
	if m == nil || m.ended {
		m = newMeeting(id)
		s.calls[fold(id)] = m
	}
	return m
}

// AddParticipant puts someone on a call, which is made if need be, and gives
// their participant id, "" if the call never exists. Someone may be put there
// several times: each time is another device.
func (s *Sim) AddParticipant(call string, p Participant) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.addCall(call)
	if m == nil {
		return ""
	}
	return s.addParticipant(m, p)
}

func (s *Sim) addParticipant(m *meeting, p Participant) string {
	if p.ID == "" {
		p.ID = s.newID()
	}
	if p.Kind == "" {
		p.Kind = "user"
	}
	if p.Identity == "" {
		p.Identity = s.newID()
	}
	m.add(p)
	return p.ID
}

// EndCall ends a call. It reports whether there was one.
func (s *Sim) EndCall(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.calls[fold(id)]
	if m == nil || m.ended {
		return false
	}
	m.settle(s.now(), s.newID)
	ended := newMeeting(m.id)
	ended.ended, ended.rings, ended.joined = true, m.rings, m.joined
	s.calls[fold(id)] = ended
	return true
}

// SetFaults replaces the faults.
func (s *Sim) SetFaults(f Faults) error {
	if err := f.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = maps.Clone(f).compile()
	return nil
}

// SetLimit replaces the limit. Waits announced before still hold.
func (s *Sim) SetLimit(l Limit) error {
	if err := l.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit = l.clone()
	return nil
}

// SetTenants replaces the tenants. Waits announced to one before still hold for
// the one of that name.
func (s *Sim) SetTenants(t Tenants) error {
	if err := t.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenants = t.compile()
	return nil
}

// SetLatency replaces the latency and, if it is not 0, the time of the fault
// "slow".
func (s *Sim) SetLatency(latency, slow time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.latency, s.slow = max(latency, 0), cmp.Or(max(slow, 0), s.slow)
}

// fault draws the fault of a request, "" for none.
func (s *Sim) fault(kind string) string {
	rates := s.faults[kind]
	if rates == nil {
		return ""
	}
	s.drawn++
	at := fraction(mix(mix(s.cfg.Seed) + s.drawn*0x9e3779b97f4a7c15))
	for i, rate := range rates {
		if at < rate {
			return faultNames[i]
		}
		at -= rate
	}
	return ""
}

// tenantOf gives the tenant that a call is of, nil for none.
func (s *Sim) tenantOf(call string) *tenant {
	if len(s.tenants) == 0 {
		return nil
	}
	call = strings.ToLower(call)
	for i := range s.tenants {
		if strings.HasPrefix(call, s.tenants[i].prefix) {
			return &s.tenants[i]
		}
	}
	return nil
}

// limitOf gives what a request is counted by: a limit, and the bucket for it.
func (s *Sim) limitOf(t *tenant, token, method string) (Limit, *bucket) {
	l, key := s.limit, bucketKey{token: token}
	if t != nil {
		l, key = t.limit, bucketKey{tenant: t.name}
	}
	if l.Reads != nil && method == http.MethodGet {
		l, key.reads = *l.Reads, true
	}
	return l, s.bucketOf(key)
}

// bucketOf gives the bucket of a key. Only so many are told apart.
func (s *Sim) bucketOf(key bucketKey) *bucket {
	b := s.buckets[key]
	if b == nil {
		if len(s.buckets) >= 10_000 {
			clear(s.buckets)
		}
		b = new(bucket)
		s.buckets[key] = b
	}
	return b
}

// bearer gives the token of a request, "" if it has none that is accepted.
func (s *Sim) bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || s.cfg.Token != "" && token != s.cfg.Token {
		return ""
	}
	return token
}
