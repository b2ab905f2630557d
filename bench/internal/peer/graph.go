package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"rollcall/bench/internal/work"
)

// graph sends requests, one connection each at a time, kept open.
type graph struct {
	base   string
	client *http.Client
}

func newGraph(base string) *graph {
	return &graph{base, &http.Client{
		Timeout:   30 * time.Second,
		Transport: &http.Transport{MaxIdleConns: 2 * concurrency, MaxIdleConnsPerHost: 2 * concurrency},
	}}
}

// throttled is the answer 429.
type throttled struct {
	after time.Duration
}

func (e *throttled) Error() string { return fmt.Sprintf("throttled: wait %s", e.after) }

// request is one request to Graph.
type request struct {
	method, path, body string
	class              string // what it is counted as
}

// answer is what came of it, unless that was a 429.
type answer struct {
	status int
	body   []byte
}

// maxAnswer caps what is read of an answer, in bytes.
const maxAnswer = 1 << 20

func (g *graph) send(ctx context.Context, q request) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, q.method, g.base+q.path, strings.NewReader(q.body))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Authorization", "Bearer bench")
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := g.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode != http.StatusTooManyRequests {
		return answer{resp.StatusCode, body}, err
	}
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil {
		seconds = 1
	}
	return answer{}, &throttled{time.Duration(seconds) * time.Second}
}

// sender is a graph with something in front or behind.
type sender func(ctx context.Context, q request) (answer, error)

// errAnswer is an answer that should not have come.
var errAnswer = errors.New("unexpected answer")

// carryOut makes one change, with the requests that it takes.
func carryOut(ctx context.Context, send sender, r work.Row) error {
	people := "/v1.0/communications/calls/" + url.PathEscape(r.Call) + "/participants"
	switch {
	case r.Invite:
		body := `{"participants":[{"identity":{"user":{"id":` + strconv.Quote(r.User) + `,"displayName":` + strconv.Quote(r.Name) + `}}}]}`
		got, err := send(ctx, request{http.MethodPost, people + "/invite", body, r.Tenant})
		if err == nil && got.status != http.StatusOK {
			err = fmt.Errorf("invite: %w: %d", errAnswer, got.status)
		}
		return err
	case r.Participant != "":
		return remove(ctx, send, r, people, r.Participant)
	}
	got, err := send(ctx, request{http.MethodGet, people, "", r.Tenant + reads})
	if err != nil {
		return err
	}
	var roster struct {
		Value []struct {
			ID   string `json:"id"`
			Info struct {
				Identity map[string]struct {
					ID string `json:"id"`
				} `json:"identity"`
			} `json:"info"`
		} `json:"value"`
	}
	if err := json.Unmarshal(got.body, &roster); err != nil {
		return fmt.Errorf("roster: %w: %d", errAnswer, got.status)
	}
	for _, p := range roster.Value {
		if p.Info.Identity["user"].ID != r.User {
			continue
		}
		if err := remove(ctx, send, r, people, p.ID); err != nil {
			return err
		}
	}
	return nil
}

func remove(ctx context.Context, send sender, r work.Row, people, participant string) error {
	got, err := send(ctx, request{http.MethodDelete, people + "/" + url.PathEscape(participant), "", r.Tenant})
	if err == nil && got.status != http.StatusNoContent && got.status != http.StatusNotFound {
		err = fmt.Errorf("delete: %w: %d", errAnswer, got.status)
	}
	return err
}
