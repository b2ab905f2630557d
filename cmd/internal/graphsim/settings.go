package graphsim

import (
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"rollcall/cmd/internal/cli"
	"rollcall/internal/graph/graphsim"
	"rollcall/internal/roster"
)

// settings is what the flags say.
type settings struct {
	listen  string
	calls   []string
	rosters []string
	roster  roster.Options
	sim     graphsim.Config
}

func parseSettings(c *cli.Command) (*settings, error) {
	s := new(settings)
	fs := cli.NewFlagSet("graphsim", usage)
	fs.StringVar(&s.listen, "listen", "127.0.0.1:8089", "")
	fs.StringSliceVar(&s.calls, "call", nil, "")
	fs.StringSliceVar(&s.rosters, "roster", nil, "")
	action := fs.String("action", "", "")
	fs.StringVar(&s.roster.CallID, "call-id", "", "")
	fs.BoolVar(&s.sim.AutoCalls, "auto-calls", false, "")
	ring := fs.String("ring", "1s-6s", "")
	fs.Float64Var(&s.sim.AnswerRate, "answer", 0, "")
	fs.Float64Var(&s.sim.DeclineRate, "decline", 0, "")
	fs.Float64Var(&s.sim.NoAnswerRate, "no-answer", 0, "")
	fs.BoolVar(&s.sim.FailFast, "fail-fast", false, "")
	fs.Uint64Var(&s.sim.Seed, "seed", 1, "")
	tokenFile := fs.String("token-file", "", "")
	fs.DurationVar(&s.sim.Latency, "latency", 20*time.Millisecond, "")
	limit := fs.String("limit", "", "")
	fs.IntVar(&s.sim.Limit.Burst, "burst", 0, "")
	window := fs.String("window", "", "")
	readLimit := fs.String("read-limit", "", "")
	retryAfter := fs.Duration("retry-after", 0, "")
	fs.StringVar(&s.sim.Limit.Format, "retry-format", graphsim.RetrySeconds, "")
	faults := fs.StringSlice("fault", nil, "")
	fs.DurationVar(&s.sim.Slow, "slow", 2*time.Second, "")
	fs.IntVar(&s.sim.PageSize, "page-size", 0, "")
	fs.DurationVar(&s.sim.OperationLife, "operation-life", 5*time.Minute, "")
	if err := fs.Parse(c); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, cli.Usagef("graphsim takes no arguments; a roster is named with --roster")
	}
	s.sim.Limit.RetryAfter = graphsim.Duration(*retryAfter)
	if *action != "" {
		a, err := roster.ParseAction(*action)
		if err != nil {
			return nil, cli.Usagef("--action: %w", err)
		}
		s.roster.Action = a
	}
	if err := parseRing(*ring, &s.sim); err != nil {
		return nil, err
	}
	if err := parseLimits(*limit, *window, *readLimit, &s.sim.Limit); err != nil {
		return nil, err
	}
	if err := parseFaults(*faults, &s.sim); err != nil {
		return nil, err
	}
	if *tokenFile != "" {
		token, err := readToken(*tokenFile)
		if err != nil {
			return nil, err
		}
		s.sim.Token = token
	}
	return s, nil
}

// parseRing reads "1s-6s", or one time for all.
func parseRing(text string, cfg *graphsim.Config) error {
	low, high, ok := strings.Cut(text, "-")
	if !ok {
		high = low
	}
	var err1, err2 error
	cfg.RingMin, err1 = time.ParseDuration(strings.TrimSpace(low))
	cfg.RingMax, err2 = time.ParseDuration(strings.TrimSpace(high))
	if err1 != nil || err2 != nil {
		return cli.Usagef("--ring: write two times, as in 1s-6s")
	}
	return nil
}

// parseLimits reads "200/s" and "750/15s". What is announced, and how, is the
// same for reads.
func parseLimits(limit, window, readLimit string, l *graphsim.Limit) error {
	if limit != "" {
		rate, err := parseRate("--limit", limit)
		if err != nil {
			return err
		}
		l.Rate = rate
	}
	if readLimit != "" {
		rate, err := parseRate("--read-limit", readLimit)
		if err != nil {
			return err
		}
		l.Reads = &graphsim.Limit{Rate: rate, RetryAfter: l.RetryAfter, Format: l.Format}
	}
	if window != "" {
		count, per, _ := strings.Cut(window, "/")
		n, err1 := strconv.Atoi(count)
		d, err2 := time.ParseDuration(per)
		if err1 != nil || err2 != nil || n <= 0 || d <= 0 {
			return cli.Usagef("--window: write requests and a time, as in 750/15s")
		}
		l.Window, l.Per = n, graphsim.Duration(d)
	}
	return nil
}

func parseRate(flag, text string) (float64, error) {
	rate, err := strconv.ParseFloat(strings.TrimSuffix(text, "/s"), 64)
	if err != nil || !(rate > 0) {
		return 0, cli.Usagef("%s: write requests a second, as in 200/s", flag)
	}
	return rate, nil
}

// parseFaults reads "invite.lost=0.1".
func parseFaults(list []string, cfg *graphsim.Config) error {
	for _, text := range list {
		name, value, ok := strings.Cut(text, "=")
		rate, err := strconv.ParseFloat(value, 64)
		if !ok || err != nil {
			return cli.Usagef("--fault: write a name and a rate, as in invite.lost=0.1")
		}
		if cfg.Faults == nil {
			cfg.Faults = graphsim.Faults{}
		}
		cfg.Faults[strings.TrimSpace(name)] = rate
	}
	return nil
}

func readToken(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, 64<<10))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", cli.Usagef("--token-file: the file is empty")
	}
	return token, nil
}
