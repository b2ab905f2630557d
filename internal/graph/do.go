package graph

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// call is one request to make.
type call struct {
	op     string
	method string
	tenant string
	url    *url.URL
	body   []byte // JSON, nil for none
	people int    // participants that it is to change
}

// do makes a call and reads its answer. Any status that is no success is an
// error. When the body of a success was cut, the answer says so: whether that
// matters depends on the call.
func (c *Client) do(ctx context.Context, r call) (*answer, error) {
	a, err := c.attempt(ctx, r, false)
	if err == nil && a.status == http.StatusUnauthorized {
		a, err = c.attempt(ctx, r, true)
	}
	if err != nil {
		return nil, err
	}
	if !a.ok() {
		return nil, classify(r.op, a, time.Now())
	}
	return a, nil
}

// attempt sends one HTTP request. Its errors are those without an answer.
func (c *Client) attempt(ctx context.Context, r call, fresh bool) (*answer, error) {
	token, err := c.tokens.Token(ctx, r.tenant, fresh)
	if err == nil && !validToken(token) {
		err = errors.New("the token is empty or cannot stand in a header")
	}
	if err != nil {
		return nil, &Error{Kind: NoToken, Op: r.op, Err: err}
	}
	if err := c.before(ctx, r.tenant); err != nil {
		return nil, &Error{Kind: NotSent, Op: r.op, Err: err}
	}

	if err := ctx.Err(); err != nil {
		return nil, &Error{Kind: NotSent, Op: r.op, Err: err}
	}
	trace := new(sendTrace)
	ctx, cancel := c.listen(ctx, r.method, trace)
	defer cancel()
	req := newRequest(httptrace.WithClientTrace(ctx, trace.hooks()), r, token)
	clientRequestID := req.Header.Get("Client-Request-Id")

	started := time.Now()
	result := Result{Kind: r.op, Method: r.method, Tenant: r.tenant, Started: started, People: r.people, ClientRequestID: clientRequestID}
	// The transport itself, not http.Client: it follows no redirect, so that
	// the token cannot reach another host, and its errors hold no URL.
	resp, err := c.transport.RoundTrip(req) //nolint:bodyclose // readBody closes it
	if err != nil {
		result.Duration = time.Since(started)
		c.after(ctx, result)
		kind := Unknown
		if trace.surelyUnsent() {
			kind = NotSent
		}
		return nil, &Error{Kind: kind, Op: r.op, ClientRequestID: clientRequestID, Err: err}
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, clientRequestID: clientRequestID, token: token}
	result.Status = a.status
	if a.status == http.StatusTooManyRequests {
		// The wait has begun, however long the body takes.
		result.RetryAfter, result.HasRetryAfter = a.retryAfter(time.Now())
		result.RequestID = a.without(requestID(a.header))
		result.Duration = time.Since(started)
		c.after(ctx, result)
	}
	limit := c.maxBody
	if !a.ok() {
		limit = min(limit, maxErrorBody)
	}
	a.body, a.bodyErr = readBody(resp.Body, limit)
	a.forget()
	if a.status != http.StatusTooManyRequests {
		result.RetryAfter, result.HasRetryAfter = a.retryAfter(time.Now())
		result.RequestID = a.requestID()
		result.Duration = time.Since(started)
		c.after(ctx, result)
	}
	return a, nil
}

// listen gives the context of one request. A change that has been sent cannot be
// taken back, and whoever stops listening does not know whether it was made: the
// caller's end cuts it off only while it has surely not been sent. After that it
// ends by its timeout, or with the client.
func (c *Client) listen(ctx context.Context, method string, trace *sendTrace) (context.Context, context.CancelFunc) {
	if method == http.MethodGet {
		return context.WithTimeout(ctx, c.timeout)
	}
	request, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.timeout)
	stopClient := context.AfterFunc(c.life, cancel)
	stopCaller := context.AfterFunc(ctx, func() {
		if !trace.perhapsSent() {
			cancel()
		}
	})
	return request, func() { stopClient(); stopCaller(); cancel() }
}

// shortToken is the length of no real token: one that is shorter, as in tests,
// may be a part of other words.
const shortToken = 20

// forget takes the token out of an answer that repeats its request: what Graph
// says of an error goes into reports.
func (a *answer) forget() {
	if len(a.token) < shortToken {
		return
	}
	a.body = bytes.ReplaceAll(a.body, []byte(a.token), []byte("***"))
	for _, values := range a.header {
		for i, v := range values {
			values[i] = a.without(v)
		}
	}
}

// without takes the token out of a text that was decoded: it may have been escaped.
func (a *answer) without(text string) string {
	if len(a.token) < shortToken {
		return text
	}
	return strings.ReplaceAll(text, a.token, "***")
}

// newRequest builds the HTTP request. It has no GetBody: with one, net/http
// would send a POST again when a kept connection turns out to be closed.
func newRequest(ctx context.Context, r call, token string) *http.Request {
	req := (&http.Request{
		Method: r.method,
		URL:    r.url,
		Host:   r.url.Host,
		Header: http.Header{
			"Accept":            {"application/json"},
			"Authorization":     {"Bearer " + token},
			"Client-Request-Id": {uuid.NewString()},
		},
	}).WithContext(ctx)
	switch {
	case r.body != nil:
		req.Body = io.NopCloser(bytes.NewReader(r.body))
		req.ContentLength = int64(len(r.body))
		req.Header.Set("Content-Type", "application/json")
	case r.url.Scheme == "http":
		// Not over TLS: HTTP/2 would send an empty frame for it.
		req.Body = noReplay{}
	}
	return req
}

// errTooLarge marks a body beyond its cap.
var errTooLarge = errors.New("the body of the answer is too large")

// readBody reads at most limit bytes and closes the body.
func readBody(body io.ReadCloser, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errTooLarge
		data = data[:limit]
	}
	// A body read to its end leaves a connection that can be used again; the
	// rest of one that is too large is not worth reading.
	if cerr := body.Close(); err == nil && cerr != nil {
		err = cerr
	}
	return data, err
}

// bodyError is the error for a success whose body was needed and not usable.
func bodyError(op string, a *answer, err error) *Error {
	kind := Unknown
	if a.bodyErr == nil || errors.Is(a.bodyErr, errTooLarge) {
		kind = BadAnswer
	}
	if a.bodyErr != nil {
		err = a.bodyErr
	}
	return &Error{
		Kind: kind, Op: op, Status: a.status, Err: err,
		RequestID: requestID(a.header), ClientRequestID: a.clientRequestID,
	}
}

// address makes a URL below the base. Ids are encoded whole, so that one can
// never become two segments; "." and ".." would be removed on the way.
func (c *Client) address(op string, segments ...string) (*url.URL, error) {
	var path strings.Builder
	path.WriteString(strings.TrimRight(c.base.EscapedPath(), "/"))
	path.WriteString("/communications")
	for _, s := range segments {
		if s == "" || s == "." || s == ".." {
			return nil, &Error{Kind: Invalid, Op: op, Err: fmt.Errorf("an id is empty, %q or %q", ".", "..")}
		}
		path.WriteByte('/')
		// QueryEscape leaves only unreserved characters, but for the space.
		path.WriteString(strings.ReplaceAll(url.QueryEscape(s), "+", "%20"))
	}
	u, err := url.Parse(c.base.Scheme + "://" + c.base.Host + path.String())
	if err != nil {
		return nil, &Error{Kind: Invalid, Op: op, Err: errors.New("an id cannot stand in a URL")}
	}
	return u, nil
}

func validToken(token string) bool {
	for _, r := range token {
		if r <= ' ' || r >= 0x7f {
			return false
		}
	}
	return token != ""
}
