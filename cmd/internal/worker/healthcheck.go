package worker

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"rollcall/cmd/internal/cli"
)

// healthTime bounds --healthcheck, in all.
const healthTime = 3 * time.Second

// healthcheck asks the worker that serves HTTP at addr whether it is ready, for
// those who start containers from an image with nothing else that could ask.
func healthcheck(ctx context.Context, c *cli.Command, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	switch {
	case addr == "":
		return cli.Usagef("--healthcheck asks the HTTP server of --http, which is turned off")
	case err != nil:
		return cli.Usagef("--http: %w", err)
	case port == "0" || port == "":
		return cli.Usagef("--healthcheck needs the port in --http")
	}
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	url := "http://" + net.JoinHostPort(reachable(host), port) + "/readyz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return cli.Usagef("--http: %w", err)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true}, // and no proxy
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("no worker answers: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("no worker answers: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", url, resp.Status, strings.TrimSpace(string(body)))
	}
	c.Printf("ready\n")
	return nil
}

// reachable is where to ask a server that listens at host: at loopback, if it
// listens everywhere.
func reachable(host string) string {
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip == netip.IPv4Unspecified():
		return "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		return "::1"
	}
	return host
}
