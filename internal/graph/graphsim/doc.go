// Package graphsim is a simulator of the Microsoft Graph calls that change and
// read the roster of a Teams call. It is an [http.Handler] with state: calls,
// people on them, invitations that ring, throttling and faults.
//
// It refuses what Graph refuses, with Graph's bodies, so that a client that
// does well here has a chance there. It keeps a record of every request, and
// can therefore tell what a client cannot: whether someone was rung twice,
// whether two requests about one participant overlapped, and whether a request
// was sent while the client had been told to wait.
//
// Nothing happens by timers: invitations are settled when someone looks, by the
// configured clock. The outcome of an invitation depends only on the seed, the
// call and the identity, so that runs repeat.
//
// Some ids have a meaning of their own:
//
//	refuses-…    an identity that declines
//	noanswer-…   an identity that never answers
//	malformed-…  an identity that Graph refuses, with the whole invite it is in
//	ended-…      a call that does not exist and is never made
//	peer-…       a call that is no group call: one participant an invite
//	gone-…       a participant or identity that Seed never puts on a roster
//
// The package must not know Redis, queues, batches or outcomes, nor the client
// it is there to test.
package graphsim
