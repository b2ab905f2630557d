//go:build integration || endurance

package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"testing"
	"time"

	"rollcall/internal/testutil"
)

var client = &http.Client{Timeout: 30 * time.Second}

// maxAnswer caps what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// simulator is a graphsim process.
type simulator struct {
	url string
}

// simParticipant is somebody on a roster of the simulator.
type simParticipant struct {
	ID       string `json:"id"`
	Kind     string `json:"kind"`
	Identity string `json:"identity"`
}

// simState is what the tests read of /_sim/state.
type simState struct {
	Calls map[string]struct {
		Participants []simParticipant `json:"participants"`
		Ringing      []string         `json:"ringing"`
		Joined       []string         `json:"joined"`
		Rings        map[string]int   `json:"rings"`
	} `json:"calls"`
	Counters struct {
		Requests           int            `json:"requests"`
		ByKind             map[string]int `json:"by_kind"`
		ByStatus           map[string]int `json:"by_status"`
		InFlight           int            `json:"in_flight"`
		Overlaps           int            `json:"overlaps"`
		SentWhileThrottled int            `json:"sent_while_throttled"`
		RungAgain          int            `json:"rung_again"`
	} `json:"counters"`
}

var listening = regexp.MustCompile(`listening on (http://\S+)`)

// startSim starts a simulator on a free port.
func startSim(t testing.TB, dir string, args ...string) *simulator {
	t.Helper()
	p := start(t, dir, nil, "graphsim", append([]string{"--listen", "127.0.0.1:0"}, args...)...)
	var url string
	testutil.Eventually(t, "graphsim listens", func() bool {
		if m := listening.FindStringSubmatch(p.out.String()); m != nil {
			url = m[1]
		} else if !p.running() {
			t.Fatalf("graphsim ended: %s", p.err.String())
		}
		return url != ""
	})
	return &simulator{url}
}

// request asks the simulator itself.
func (s *simulator) request(method, path, body string) ([]byte, error) {
	req, err := http.NewRequest(method, s.url+"/_sim/"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	return answer, err
}

// state reads the simulator's state.
func (s *simulator) state(t testing.TB) simState {
	t.Helper()
	var st simState
	answer, err := s.request("GET", "state", "")
	if err == nil {
		err = json.Unmarshal(answer, &st)
	}
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// set changes what the simulator does, as by POST /_sim/faults.
func (s *simulator) set(t testing.TB, what string) {
	t.Helper()
	if _, err := s.request("POST", "faults", what); err != nil {
		t.Fatal(err)
	}
}
