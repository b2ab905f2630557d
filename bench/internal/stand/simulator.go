package stand

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"rollcall/internal/graph/graphsim"
)

// Simulator is the control of a graphsim process.
type Simulator struct {
	URL string
}

var client = &http.Client{Timeout: 30 * time.Second}

// maxAnswer caps what is read of an answer, in bytes.
const maxAnswer = 64 << 20

// Set changes how the simulator behaves. settings is what POST /_sim/faults
// takes.
func (s *Simulator) Set(ctx context.Context, settings any) error {
	body, err := json.Marshal(settings)
	if err != nil {
		return err
	}
	return s.ask(ctx, http.MethodPost, "faults", body, nil)
}

// Requests reads all that has been recorded.
func (s *Simulator) Requests(ctx context.Context) ([]graphsim.Record, error) {
	var all []graphsim.Record
	for {
		var page struct {
			Requests []graphsim.Record `json:"requests"`
			Next     int               `json:"next"`
			Dropped  int               `json:"dropped"`
		}
		if err := s.ask(ctx, http.MethodGet, "requests?since="+strconv.Itoa(len(all)), nil, &page); err != nil {
			return nil, err
		}
		if page.Dropped > 0 {
			return nil, fmt.Errorf("the simulator has not kept %d requests: measure for a shorter time", page.Dropped)
		}
		if len(page.Requests) == 0 {
			return all, nil
		}
		all = append(all, page.Requests...)
	}
}

// ask sends a request to the controls and reads the answer into v, if that is
// not nil.
func (s *Simulator) ask(ctx context.Context, method, path string, body []byte, v any) error {
	req, err := http.NewRequestWithContext(ctx, method, s.URL+"/_sim/"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= http.StatusMultipleChoices:
		return fmt.Errorf("simulator: %s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(answer))
	case v == nil:
		return nil
	}
	return json.Unmarshal(answer, v)
}
