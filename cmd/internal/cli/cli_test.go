package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"rollcall/cmd/internal/cli"
)

func command(env map[string]string, args ...string) (*cli.Command, *bytes.Buffer, *bytes.Buffer) {
	var stdout, stderr bytes.Buffer
	return &cli.Command{
		Args: args, Env: func(k string) string { return env[k] },
		Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
	}, &stdout, &stderr
}

func TestFlags(t *testing.T) {
	for name, tt := range map[string]struct {
		env    map[string]string
		args   []string
		want   string // of --max-tries and --mode
		status int
		stdout string
		stderr string
	}{
		"defaults":        {want: "8 slow"},
		"flag":            {args: []string{"--max-tries", "3", "--mode=FAST"}, want: "3 fast"},
		"environment":     {env: map[string]string{"ROLLCALL_MAX_TRIES": "4", "ROLLCALL_MODE": "fast"}, want: "4 fast"},
		"flag beats it":   {env: map[string]string{"ROLLCALL_MAX_TRIES": "4"}, args: []string{"--max-tries=5"}, want: "5 slow"},
		"bad environment": {env: map[string]string{"ROLLCALL_MAX_TRIES": "x"}, status: 2, stderr: "ROLLCALL_MAX_TRIES"},
		"bad value":       {args: []string{"--mode=warp"}, status: 2, stderr: "slow, fast"},
		"unknown flag":    {args: []string{"--nope"}, status: 2, stderr: "--help"},
		"help":            {args: []string{"--help"}, stdout: "the usage text\n"},
		"short help":      {args: []string{"-h"}, stdout: "the usage text\n"},
		"version":         {args: []string{"--version"}, stdout: "demo "},
	} {
		t.Run(name, func(t *testing.T) {
			c, stdout, stderr := command(tt.env, tt.args...)
			got := ""
			status := cli.Run(t.Context(), c, func(_ context.Context, c *cli.Command) error {
				fs := cli.NewFlagSet("demo", "the usage text\n")
				tries := fs.Int("max-tries", 8, "")
				mode := fs.Choice("mode", "slow", "", "slow", "fast")
				if err := fs.Parse(c); err != nil {
					return err
				}
				got = fmt.Sprint(*tries, " ", *mode)
				return nil
			})
			if status != tt.status || got != tt.want || !strings.HasPrefix(stdout.String(), tt.stdout) || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("status %d, got %q, stdout %q, stderr %q", status, got, stdout, stderr)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx    context.Context
		err    error
		status int
		stderr string
	}{
		"done":                       {t.Context(), nil, 0, ""},
		"usage":                      {t.Context(), cli.Usagef("write it so"), 2, "error: write it so\n"},
		"silent":                     {t.Context(), fmt.Errorf("wrapped: %w", cli.Exit(4)), 4, ""},
		"exit 0":                     {t.Context(), cli.Exit(0), 0, ""},
		"cannot run":                 {t.Context(), errors.New("Redis is away"), 1, "error: Redis is away\n"},
		"interrupted":                {ended, fmt.Errorf("watch: %w", context.Canceled), 130, "interrupted\n"},
		"cancelled without a signal": {t.Context(), context.Canceled, 1, "error: context canceled\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _, stderr := command(nil)
			status := cli.Run(tt.ctx, c, func(context.Context, *cli.Command) error { return tt.err })
			if status != tt.status || stderr.String() != tt.stderr {
				t.Errorf("status %d, stderr %q", status, stderr)
			}
		})
	}
}
