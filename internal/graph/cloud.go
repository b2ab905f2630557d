package graph

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// Cloud is one of the national clouds in which the calls of this package exist.
// The zero value means [Global].
type Cloud string

// The clouds, with the origins given in Graph's "National cloud deployments".
const (
	Global Cloud = "global"
	USGov  Cloud = "usgov" // US Government L4
	DoD    Cloud = "dod"   // US Government L5
)

// ErrCloud is what every error of [ParseCloud] wraps.
var ErrCloud = errors.New("cloud not usable")

// ParseCloud reads the name of a cloud, without case. An empty name is Global.
// The cloud operated by 21Vianet is refused: cloud communications, and with it
// these calls, do not exist there.
func ParseCloud(name string) (Cloud, error) {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "", "global", "public":
		return Global, nil
	case "usgov", "gcchigh", "l4":
		return USGov, nil
	case "dod", "l5":
		return DoD, nil
	case "china", "21vianet":
		return "", fmt.Errorf("%w: Microsoft Graph operated by 21Vianet (China) has no calls to invite to or remove from", ErrCloud)
	}
	return "", fmt.Errorf("%w: %q is none of global, usgov, dod", ErrCloud, name)
}

// Origin is the scheme and host of the cloud's Graph, without a final slash.
func (c Cloud) Origin() string {
	switch c {
	case USGov:
		return "https://graph.microsoft.us"
	case DoD:
		return "https://dod-graph.microsoft.us"
	}
	return "https://graph.microsoft.com"
}

// parseBase reads a base URL. Without a path it means the v1.0 API.
func parseBase(raw string, cloud Cloud, allowPlain bool) (*url.URL, error) {
	if raw == "" {
		raw = cloud.Origin()
	}
	base, err := url.Parse(raw)
	if err != nil {
		// The text may hold a password: keep url.Error's reason only.
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err
		}
		return nil, fmt.Errorf("graph URL: %w", err)
	}
	switch {
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, errors.New("graph URL: must begin with https:// or http://")
	case base.Hostname() == "":
		return nil, errors.New("graph URL: has no host")
	case base.User != nil:
		return nil, errors.New("graph URL: must not hold a user or password")
	case base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		return nil, errors.New("graph URL: must not have a query or fragment")
	case base.Scheme == "http" && !allowPlain && !isLoopback(base.Hostname()):
		return nil, errors.New("graph URL: plain http would show the token to the network; " +
			"use https, a loopback address, or a token file")
	}
	path := strings.TrimRight(base.EscapedPath(), "/")
	if path == "" {
		path = "/v1.0"
	}
	// Host names are compared without case when a nextLink is checked.
	base.Host = strings.ToLower(base.Host)
	return base.Parse(path)
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// sameOrigin tells whether a and b have the same scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && hostPort(a) == hostPort(b)
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "443"
		if strings.EqualFold(u.Scheme, "http") {
			port = "80"
		}
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
