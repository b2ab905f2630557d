// Package graph is a client for the few Microsoft Graph calls that change and
// read the roster of a live Teams call.
//
// It sends one HTTP request for each page, invitation or removal, classifies
// every way that can end into an [Error] of one [Kind], and does nothing else:
// it does not retry, wait or remember. The only request it repeats by itself
// is one that was answered 401, once, with a fresh token.
//
//	client, err := graph.New(graph.Config{
//		Cloud:  graph.Global,
//		Tokens: tokens,
//		Before: limiter.Wait, // every request passes here first
//	})
//	…
//	_, err = client.Remove(ctx, tenant, call, participant)
//	switch graph.KindOf(err) {
//	case graph.NotFound: // already gone
//	case graph.Throttled: // not applied; wait Error.RetryAfter
//	}
//
// Two questions matter to a caller that must not ring a person twice, and both
// are answered by the error: was the request understood and refused, and may it
// have been applied all the same ([Error.MayHaveApplied])?
//
// # Requests that are not repeated
//
// Go's transport repeats some requests by itself when a connection kept alive
// turns out to be closed. POST and DELETE are never repeated that way once a
// byte of them was written. A GET over plain HTTP is not either; a GET over
// TLS may be, once, when a reused connection closes without an answer. That
// second GET does not pass Before.
//
// # What it must not know
//
// The package knows HTTP and Graph. It must not know Redis, queues, batches,
// rows or outcomes: what an error means for a row is decided by its users.
//
// # Personal data
//
// Error texts carry the operation, status, code and request ids, never names,
// numbers or object ids. Graph's own messages may name people; they are kept
// apart in [Error.Message] and [ResultInfo.Message] and are no part of an error
// text.
package graph
