package graphsim

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// maxListed caps how many records one answer lists.
const maxListed = 10_000

// serveControl serves what tests and people ask the simulator itself:
//
//	GET  /_sim/requests?since=N   {"requests":[…],"next":N,"dropped":N}, at most 10,000
//	GET  /_sim/state              State
//	POST /_sim/calls              {"calls":[{"id":"…","participants":[Participant…]}]}
//	POST /_sim/faults             {"faults":{…},"limit":{…},"tenants":{"NAME":{"calls":"…","limit":{…}}},
//	                              "latency":"20ms","slow":"2s"}, each optional
//	POST /_sim/end?call=ID
//
// It asks for no token and is not recorded.
func (s *Sim) serveControl(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<20)
	switch r.Method + " " + r.URL.Path {
	case "GET /_sim/requests":
		since, err := strconv.Atoi(r.URL.Query().Get("since"))
		if err != nil && r.URL.Query().Has("since") {
			http.Error(w, "since is not a number", http.StatusBadRequest)
			return
		}
		writeJSON(w, s.listed(max(since, 0)))
	case "GET /_sim/state":
		writeJSON(w, s.State())
	case "POST /_sim/calls":
		s.serveCalls(w, r)
	case "POST /_sim/faults":
		s.serveFaults(w, r)
	case "POST /_sim/end":
		if !s.EndCall(r.URL.Query().Get("call")) {
			http.Error(w, "no such call", http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		http.Error(w, "the controls are GET requests and state, POST calls, faults and end", http.StatusNotFound)
	}
}

type listing struct {
	Requests []Record `json:"requests"`
	Next     int      `json:"next"`
	Dropped  int      `json:"dropped"`
}

func (s *Sim) listed(since int) listing {
	s.mu.Lock()
	defer s.mu.Unlock()
	records := s.log.list(since, maxListed)
	return listing{
		Requests: records,
		Next:     min(since, s.log.count.Requests-s.log.count.Dropped) + len(records),
		Dropped:  s.log.count.Dropped,
	}
}

func (s *Sim) serveCalls(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Calls []struct {
			ID           string        `json:"id"`
			Participants []Participant `json:"participants"`
		} `json:"calls"`
	}
	if !readJSON(w, r, &body) {
		return
	}
	for _, c := range body.Calls {
		s.AddCall(c.ID)
		for _, p := range c.Participants {
			s.AddParticipant(c.ID, p)
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Sim) serveFaults(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Faults  *Faults   `json:"faults"`
		Limit   *Limit    `json:"limit"`
		Tenants *Tenants  `json:"tenants"`
		Latency *Duration `json:"latency"`
		Slow    *Duration `json:"slow"`
	}
	if !readJSON(w, r, &body) {
		return
	}
	var err error
	if body.Faults != nil {
		err = body.Faults.check()
	}
	if body.Limit != nil && err == nil {
		err = body.Limit.check()
	}
	if body.Tenants != nil && err == nil {
		err = body.Tenants.check()
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if body.Faults != nil {
		s.faults = body.Faults.compile()
	}
	if body.Limit != nil {
		s.limit = *body.Limit
	}
	if body.Tenants != nil {
		s.tenants = body.Tenants.compile()
	}
	if body.Latency != nil {
		s.latency = max(time.Duration(*body.Latency), 0)
	}
	if body.Slow != nil {
		s.slow = max(time.Duration(*body.Slow), 0)
	}
	w.WriteHeader(http.StatusNoContent)
}

func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// An error here is a client that has gone.
	_ = json.NewEncoder(w).Encode(v)
}
