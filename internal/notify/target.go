package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Timeout is how long one try may take, until the answer has been read.
const Timeout = 10 * time.Second

// moment is how much longer a request under way is given when its sender is told
// to end.
const moment = 3 * time.Second

// maxAnswer caps what is read of an answer, in bytes. Nothing of it is used: it is
// read so that the connection can be.
const maxAnswer = 64 << 10

// maxRetryAfter is the longest wait that a receiver can ask for.
const maxRetryAfter = time.Hour

// Target is where notices go. Of its URL, which may be the only secret there is,
// it shows the host alone.
type Target struct {
	url    *url.URL
	secret []byte
	agent  string
	client *http.Client
}

// NewTarget reads a URL, https or http. secret signs the notices; they are not
// signed if it is empty. agent is the User-Agent. Errors do not repeat the URL.
func NewTarget(rawURL string, secret []byte, agent string) (*Target, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, errors.New("not a URL") // the error would show it
	case !strings.EqualFold(u.Scheme, "https") && !strings.EqualFold(u.Scheme, "http"):
		return nil, errors.New("must begin with https:// (or http://)")
	case u.Hostname() == "":
		return nil, errors.New("has no host")
	}
	return &Target{
		url: u, secret: secret, agent: agent,
		client: &http.Client{
			Transport: &http.Transport{
				Proxy:                  http.ProxyFromEnvironment,
				DialContext:            (&net.Dialer{Timeout: Timeout}).DialContext,
				ForceAttemptHTTP2:      true,
				MaxIdleConnsPerHost:    atOnce,
				IdleConnTimeout:        30 * time.Second,
				MaxResponseHeaderBytes: 64 << 10,
				TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			},
			// Whoever can redirect is not whom the notice is for.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Host is the host of the URL, with its port if it has one.
func (t *Target) Host() string { return t.url.Host }

// Signs tells whether there is a secret.
func (t *Target) Signs() bool { return len(t.secret) > 0 }

// digest stands for the URL where others can read it.
func (t *Target) digest() string {
	sum := sha256.Sum256([]byte("rollcall notice\x00" + t.url.String()))
	return hex.EncodeToString(sum[:16])
}

// failure is why a notice was not received. It holds nothing of the URL but its
// host, and nothing that the receiver said but a status.
type failure struct {
	why        string
	retryAfter time.Duration // as asked for by the receiver; at most maxRetryAfter
	cut        bool          // the sender was told to end: it may have been received
}

// post sends a notice once. It returns nil if the answer was any status of 2xx.
// When ctx ends it is given another moment.
func (t *Target) post(ctx context.Context, id string, body []byte) *failure {
	rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), Timeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		timer := time.NewTimer(moment)
		defer timer.Stop()
		select {
		case <-rctx.Done():
		case <-timer.C:
			cancel()
		}
	})()
	req, err := http.NewRequestWithContext(rctx, http.MethodPost, t.url.String(), bytes.NewReader(body))
	if err != nil {
		return &failure{why: "the URL cannot be used"}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", t.agent)
	req.Header.Set("X-Rollcall-Delivery", id)
	if t.Signs() {
		req.Header.Set("X-Rollcall-Signature", "sha256="+sign(t.secret, body))
	}
	resp, err := t.client.Do(req)
	if err != nil {
		return &failure{why: t.reason(rctx, err), cut: errors.Is(rctx.Err(), context.Canceled)}
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	switch resp.StatusCode / 100 {
	case 2:
		return nil
	case 3:
		return &failure{why: fmt.Sprintf("answered %d: redirects are not followed, name the address itself", resp.StatusCode)}
	}
	return &failure{
		why:        fmt.Sprintf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)),
		retryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
}

// sign is the hexadecimal HMAC-SHA256 of a body.
func sign(secret, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// reason tells why there is no answer. Of net/http's errors only those are shown
// that cannot repeat the URL, or what the receiver said.
func (t *Target) reason(ctx context.Context, err error) string {
	if ctx.Err() != nil || isTimeout(err) {
		return fmt.Sprintf("no answer within %s", Timeout)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "dial" || op.Op == "proxyconnect") {
		return op.Error()
	}
	if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return bad.Error()
	}
	if bad, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return bad.Error()
	}
	return "the connection broke, or the answer is not HTTP"
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// retryAfter reads a Retry-After header: whole seconds, or a date. 0 if it says
// nothing.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if n, err := strconv.ParseUint(header, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	date, err := http.ParseTime(header)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), maxRetryAfter)
}
