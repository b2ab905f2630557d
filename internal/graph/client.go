package graph

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"time"
)

// TokenSource gives bearer tokens for Graph. It is called before every request
// and must be safe for concurrent use.
type TokenSource interface {
	// Token gives a token for a tenant ("" for the default one). fresh says the
	// last one was refused, so that a cache must be bypassed.
	Token(ctx context.Context, tenant string, fresh bool) (string, error)
}

// Config configures a [Client]. Tokens is required; the zero value of all else
// is a default.
type Config struct {
	// BaseURL is where Graph is; empty for the cloud's own. An URL without a
	// path gets "/v1.0".
	BaseURL string
	// Cloud is used when BaseURL is empty.
	Cloud Cloud
	// AllowPlainHTTP allows a BaseURL with http:// that is no loopback address:
	// the token then crosses the network in clear.
	AllowPlainHTTP bool
	Tokens         TokenSource
	// Timeout of one request, from connecting to the end of the body. Waiting
	// in Before is not part of it. Default 30 s.
	Timeout time.Duration
	// MaxBody caps the body of an answer, in bytes, after decompression. Default
	// 4 MiB; bodies of errors are read to 64 KiB.
	MaxBody int64
	// Concurrency is the number of requests expected at once, so that as many
	// connections are kept. Default 64. It limits nothing.
	Concurrency int
	// Before, if set, is called before every HTTP request: each page, and the
	// repeat after a 401, too. Its error ends the call as [NotSent].
	Before func(ctx context.Context, tenant string) error
	// After, if set, is called once after every HTTP request, with the values of
	// the caller's context.
	After func(context.Context, Result)
	// Dial connects to Graph in place of a net.Dialer, if set.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Transport replaces the client's own transport. It must not follow
	// redirects nor repeat requests.
	Transport http.RoundTripper
}

// Result describes one HTTP request that is over.
type Result struct {
	Kind     string // one of the Op constants
	Method   string
	Tenant   string
	Status   int           // 0: no answer
	Started  time.Time     // when it was sent, after Before
	Duration time.Duration // to the end of the body; of a 429, to that of its header
	People   int           // participants that it is to change; 0 if it only reads
	// RequestID is Graph's, ClientRequestID the one that was sent.
	RequestID, ClientRequestID string
	// RetryAfter is valid if HasRetryAfter; see [ParseRetryAfter].
	RetryAfter    time.Duration
	HasRetryAfter bool
}

// Client calls Graph. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	tokens    TokenSource
	timeout   time.Duration
	maxBody   int64
	before    func(context.Context, string) error
	after     func(context.Context, Result)
	transport http.RoundTripper
	life      context.Context // ends with Abort
	abort     context.CancelFunc
}

// DefaultTimeout is how long one request can take, unless Config says otherwise.
const DefaultTimeout = 30 * time.Second

// New checks the configuration and makes a client. It opens no connection.
func New(cfg Config) (*Client, error) {
	if cfg.Tokens == nil {
		return nil, errors.New("graph: Config.Tokens is missing")
	}
	if cfg.Timeout < 0 || cfg.MaxBody < 0 || cfg.Concurrency < 0 {
		return nil, errors.New("graph: Config.Timeout, MaxBody and Concurrency must not be negative")
	}
	base, err := parseBase(cfg.BaseURL, cfg.Cloud, cfg.AllowPlainHTTP)
	if err != nil {
		return nil, err
	}
	c := &Client{
		base:      base,
		tokens:    cfg.Tokens,
		timeout:   cfg.Timeout,
		maxBody:   cfg.MaxBody,
		before:    cfg.Before,
		after:     cfg.After,
		transport: cfg.Transport,
	}
	c.life, c.abort = context.WithCancel(context.Background())
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	if c.maxBody == 0 {
		c.maxBody = 4 << 20
	}
	if c.before == nil {
		c.before = func(context.Context, string) error { return nil }
	}
	if c.after == nil {
		c.after = func(context.Context, Result) {}
	}
	if c.transport == nil {
		c.transport = newTransport(cfg.Concurrency, cfg.Dial)
	}
	return c, nil
}

// Host is the host of Graph, without a port.
func (c *Client) Host() string { return c.base.Hostname() }

// Timeout is how long one request can take at most.
func (c *Client) Timeout() time.Duration { return c.timeout }

// Abort cuts off all requests, also changes that may have been sent, of which it
// then is not known whether they were made. Other ends of their contexts do not.
func (c *Client) Abort() { c.abort() }

// CloseIdleConnections closes the connections that are kept but not in use.
func (c *Client) CloseIdleConnections() {
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
