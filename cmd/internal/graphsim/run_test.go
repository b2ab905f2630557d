package graphsim

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/cmd/internal/cli"
	"rollcall/internal/graph/graphsim"
)

func command(args ...string) (*cli.Command, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	return &cli.Command{
		Args: args, Env: func(string) string { return "" },
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
	}, &out, &errs
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"surplus"}, {"--ring", "soon"}, {"--limit", "many"}, {"--window", "3"}, {"--fault", "lost"},
		{"--fault", "flood=1"}, {"--fault", "lost=2"}, {"--action", "promote"}, {"--retry-format", "smoke"},
		{"--ring", "5s-1s"}, {"--limit", "5/s", "--window", "5/1s"}, {"--read-limit", "some"}, {"--read-limit", "0/s"}, {"--limit", "NaN"},
	} {
		c, out, errs := command(args...)
		if status := cli.Run(t.Context(), c, Run); status != cli.StatusUsage {
			t.Errorf("%q: status %d, want %d", args, status, cli.StatusUsage)
		}
		if out.Len() > 0 || errs.Len() == 0 {
			t.Errorf("%q: stdout %q, stderr %q", args, out, errs)
		}
	}
}

func TestHelp(t *testing.T) {
	c, out, _ := command("--help")
	if status := cli.Run(t.Context(), c, Run); status != 0 {
		t.Fatalf("status %d", status)
	}
	if !strings.HasSuffix(out.String(), "graphsim --listen 127.0.0.1:8089 --roster examples/roster.csv\n") {
		t.Errorf("help does not end with the example:\n%s", out)
	}
	s, err := parseSettings(&cli.Command{Env: func(string) string { return "" }})
	if err != nil || s.listen != "127.0.0.1:8089" || s.sim.FailFast {
		t.Errorf("defaults: %+v, %v", s, err)
	}
	c, _, _ = command("--fail-fast")
	if s, err := parseSettings(c); err != nil || !s.sim.FailFast {
		t.Errorf("--fail-fast: %+v, %v", s, err)
	}
}

func TestReadLimit(t *testing.T) {
	for _, tt := range []struct {
		args        []string
		outer, read graphsim.Limit
	}{
		{[]string{"--read-limit", "5/s"},
			graphsim.Limit{Format: "seconds"}, graphsim.Limit{Rate: 5, Format: "seconds"}},
		{[]string{"--limit", "2/s", "--burst", "7", "--read-limit", "5/s", "--retry-after", "3s", "--retry-format", "date"},
			graphsim.Limit{Rate: 2, Burst: 7, RetryAfter: graphsim.Duration(3 * time.Second), Format: "date"},
			graphsim.Limit{Rate: 5, RetryAfter: graphsim.Duration(3 * time.Second), Format: "date"}},
		{[]string{"--window", "750/15s", "--read-limit", "0.5"},
			graphsim.Limit{Window: 750, Per: graphsim.Duration(15 * time.Second), Format: "seconds"},
			graphsim.Limit{Rate: 0.5, Format: "seconds"}},
	} {
		c, _, _ := command(tt.args...)
		s, err := parseSettings(c)
		if err != nil || s.sim.Limit.Reads == nil {
			t.Fatalf("%q: %+v, %v", tt.args, s, err)
		}
		outer := s.sim.Limit
		outer.Reads = nil
		if outer != tt.outer || *s.sim.Limit.Reads != tt.read {
			t.Errorf("%q: %+v, reads %+v", tt.args, outer, *s.sim.Limit.Reads)
		}
	}
}

func TestServesARoster(t *testing.T) {
	file := filepath.Join(t.TempDir(), "roster.csv")
	csv := "action,call_id,participant_id\ndelete,call-1,p-1\ndelete,call-1,gone-1\n"
	if err := os.WriteFile(file, []byte(csv), 0o600); err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("right\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, _, errs := command("--listen", "127.0.0.1:0", "--roster", file, "--token-file", token, "--latency", "0s")
	pr, pw := io.Pipe()
	c.Stdout = pw
	done := make(chan int, 1)
	go func() { done <- cli.Run(ctx, c, Run); pw.Close() }()
	line, err := bufio.NewReader(pr).ReadString('\n')
	if err != nil {
		t.Fatalf("%v; stderr %s", err, errs)
	}
	base, ok := strings.CutPrefix(strings.TrimSpace(line), "graphsim listening on ")
	if !ok {
		t.Fatalf("first line %q", line)
	}
	client := new(http.Client)
	for _, tt := range []struct {
		participant, token string
		want               int
	}{{"p-1", "wrong", 401}, {"p-1", "right", 204}, {"gone-1", "right", 404}} {
		req, _ := http.NewRequestWithContext(ctx, http.MethodDelete,
			base+"/v1.0/communications/calls/call-1/participants/"+tt.participant, nil)
		req.Header.Set("Authorization", "Bearer "+tt.token)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("DELETE %s: %d, want %d", tt.participant, resp.StatusCode, tt.want)
		}
	}
	client.CloseIdleConnections()
	cancel()
	if status := <-done; status != 0 {
		t.Errorf("status %d; stderr %s", status, errs)
	}
}
