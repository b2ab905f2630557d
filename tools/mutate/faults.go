package main

// fault is a small slip, as one could make it, and what would come of it.
type fault struct {
	Name    string
	Promise string // what it breaks
	File    string
	Old     string // stands in File exactly once
	New     string
	// Test is where to look first: a package and a test of it, such as
	// "./internal/ledger TestLedger/busy". If that does not notice the fault, all
	// tests of its own package and of internal/tasks are run.
	Test string
}

// faults are ordered by the promises of ARCHITECTURE.md.
var faults = []fault{
	// 1. Every row gets one outcome.
	{
		Name: "settle-twice", Promise: "1: an outcome is written once",
		File: "internal/ledger/scripts/settle.lua",
		Old:  "elseif old ~= '' and not pending(old) or not final and old ~= expected then",
		New:  "elseif not final and old ~= expected then",
		Test: "./internal/ledger TestLedger/outcome_once",
	},
	{
		Name: "stale-write", Promise: "1: what others found out is not overwritten",
		File: "internal/ledger/scripts/settle.lua",
		Old:  "elseif old ~= '' and not pending(old) or not final and old ~= expected then",
		New:  "elseif old ~= '' and not pending(old) then",
		Test: "./internal/ledger TestIntents/compare_and_set",
	},
	{
		Name: "counter-behind", Promise: "1: counters move with the outcomes",
		File: "internal/ledger/scripts/settle.lua",
		Old:  "counts[letter] = (counts[letter] or 0) + 1",
		New:  "counts[letter] = 1",
		Test: "./internal/ledger TestLedger/account",
	},
	{
		Name: "lost-tasks-stay-lost", Promise: "1: tasks that the queue lost are made again",
		File: "internal/tasks/sweep.go",
		Old:  "back, err := w.queue.Requeue(ctx, st.Batch)",
		New:  "back, err := 0, ctx.Err()",
		Test: "./internal/tasks TestJob/queue_lost",
	},
	{
		Name: "half-lost-task", Promise: "1: tasks of which a part is left are made again",
		File: "internal/tasks/scripts/mend.lua",
		Old:  "if listed(KEYS[2]) then return 1 end",
		New:  "do return 1 end",
		Test: "./internal/tasks TestJob/queue_half_lost",
	},
	{
		Name: "living-worker-robbed", Promise: "1: a living worker's tasks are left to it",
		File: "internal/tasks/recover.go",
		Old:  "!ok || was.lease != z.Score {",
		New:  "!ok {",
		Test: "./internal/tasks TestBeats",
	},
	{
		Name: "put-back-unseen", Promise: "1: a task is put back only by a worker that saw its lease",
		File: "internal/tasks/scripts/putback.lua",
		Old:  "if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or -1) ~= tonumber(ARGV[2]) then",
		New:  "if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then",
		Test: "./internal/tasks TestPutBackOnce",
	},
	{
		Name: "retry-of-done", Promise: "1: a retry leaves alone what is done",
		File: "internal/ledger/scripts/reopen.lua",
		Old:  "if not pending(record) and string.find(ARGV[3], letter, 1, true) then",
		New:  "if not pending(record) then",
		Test: "./internal/ledger TestLedger/reopen",
	},
	{
		Name: "batch-of-another-key", Promise: "1: another --key is another batch",
		File: "internal/tasks/identity.go",
		Old:  "i.Options.TenantID, i.Key}",
		New:  "i.Options.TenantID}",
		Test: "./internal/tasks TestBatchID",
	},
	{
		Name: "batch-of-another-action", Promise: "1: another --action is another batch",
		File: "internal/tasks/identity.go",
		Old:  "action = i.Options.Action.String()",
		New:  `action = "both"`,
		Test: "./internal/tasks TestBatchID",
	},
	{
		Name: "too-many-rows-a-task", Promise: "1: a task has 20 rows, so that its id stays the same",
		File: "internal/tasks/pack.go",
		Old:  "return len(k.rows) >= rowsPerPack",
		New:  "return len(k.rows) > rowsPerPack",
		Test: "./internal/tasks TestPack",
	},
	{
		Name: "calls-mixed", Promise: "1: a row is sent to its own call",
		File: "internal/tasks/pack.go",
		Old:  "key := packKey{call: c.CallKey(), action: c.Action}",
		New:  `key := packKey{call: "", action: c.Action}`,
		Test: "./internal/tasks TestPack",
	},
	{
		Name: "cancel-goes-on", Promise: "1: nothing is sent for a cancelled batch",
		File: "internal/ledger/turn.go",
		Old:  "case state.cancelled:",
		New:  "case false:",
		Test: "./internal/ledger TestLedger/cancelled",
	},
	{
		Name: "sent-after-deadline", Promise: "1: nothing is sent after the deadline",
		File: "internal/ledger/turn.go",
		Old:  "return !t.deadline.After(t.Now())",
		New:  "return false",
		Test: "./internal/tasks TestDeadlineWithinTask",
	},
	{
		Name: "one-attempt-too-many", Promise: "1: a row is tried --max-attempts times",
		File: "internal/tasks/handle.go",
		Old:  "if row.Attempts >= r.w.cfg.MaxAttempts {",
		New:  "if row.Attempts > r.w.cfg.MaxAttempts {",
		Test: "./internal/tasks TestAttempts",
	},

	// 2. The newest change wins.
	{
		Name: "older-is-sent", Promise: "2: an older change is superseded",
		File: "internal/ledger/scripts/claim.lua",
		Old:  "if p.newest > seq then newer = true end",
		New:  "if p.newest > seq + 1 then newer = true end",
		Test: "./internal/ledger TestLedger/newer_supersedes",
	},
	{
		Name: "twice-in-a-task", Promise: "2: of two rows of a task about one person the newer is sent",
		File: "internal/ledger/scripts/claim.lua",
		Old:  "math.max(known[key].newest, known[key].noted, seq)",
		New:  "math.max(known[key].newest, known[key].noted)",
		Test: "./internal/ledger TestLedger/newest_in_the_same_task",
	},
	{
		Name: "claim-not-checked", Promise: "2: one change to a participant at a time",
		File: "internal/ledger/scripts/claim.lua",
		Old:  "busy = true\n          if tonumber(of) == seq then",
		New:  "busy = false\n          if tonumber(of) == seq then",
		Test: "./internal/ledger TestLedger/busy",
	},
	{
		Name: "claim-kept", Promise: "2: a claim is given up when its work is done",
		File: "internal/ledger/scripts/release.lua",
		Old:  "if #mine > 0 then redis.call('HDEL', KEYS[1], unpack(mine)) end",
		New:  "",
		Test: "./internal/ledger TestLedger/busy",
	},
	{
		Name: "no-grace", Promise: "2: what a dead worker sent may still be done",
		File: "internal/ledger/scripts/claim.lua",
		Old:  "elseif tonumber(ends) + ARGV[4] > now then",
		New:  "elseif false then",
		Test: "./internal/ledger TestLedger/claim_lingers",
	},
	{
		Name: "intent-without-claim", Promise: "2: nobody is rung under a claim that ran out",
		File: "internal/ledger/scripts/intend.lua",
		Old:  "if owner ~= ARGV[1] or tonumber(ends) <= now then return -1 end",
		New:  "if owner ~= ARGV[1] then return -1 end",
		Test: "./internal/ledger TestIntents/claim_lost",
	},
	{
		Name: "ringing-not-awaited", Promise: "2: a newer change waits while an older one rings",
		File: "internal/ledger/scripts/claim.lua",
		Old:  "if tonumber(of) < seq and tonumber(ends) > now then",
		New:  "if tonumber(of) > seq and tonumber(ends) > now then",
		Test: "./internal/tasks TestInvites/delete_waits_for_ringing",
	},

	// 3. Nobody is rung twice for a row.
	{
		Name: "no-intent", Promise: "3: the intent is written before the request",
		File: "internal/tasks/post.go",
		Old:  "pack, before, err = r.intend(ctx, pack, before)",
		New:  "err = ctx.Err()",
		Test: "./internal/tasks TestInvites/answer_lost",
	},
	{
		Name: "no-look", Promise: "3: a row with an intent is looked at, not sent",
		File: "internal/tasks/invite.go",
		Old:  "if r.turn.Rows[i].Intent.At.IsZero() {",
		New:  "if !r.turn.Rows[i].Intent.Accepted {",
		Test: "./internal/tasks TestInvites/answer_lost",
	},
	{
		Name: "resent-without-look", Promise: "3: a lost answer is looked into before it is sent again",
		File: "internal/tasks/post.go",
		Old:  "if mayHaveApplied(err) {",
		New:  "if mayHaveApplied(err) && ctx.Err() != nil {",
		Test: "./internal/tasks TestInvites/answer_lost",
	},
	{
		Name: "server-error-not-applied", Promise: "3: a 5xx may have been applied",
		File: "internal/graph/errors.go",
		Old:  "case Temporary, Unknown, BadAnswer:",
		New:  "case Unknown, BadAnswer:",
		Test: "./internal/tasks TestInvites/answer_lost",
	},
	{
		Name: "timeout-not-sent", Promise: "3: what got no answer may have been applied",
		File: "internal/graph/do.go",
		Old:  "kind := Unknown\n\t\tif trace",
		New:  "kind := NotSent\n\t\tif trace",
		Test: "./internal/graph TestNoAnswer",
	},
	{
		Name: "old-roster", Promise: "3: a roster from before the intent says nothing",
		File: "internal/tasks/snapshot.go",
		Old:  "(k == nil || k.at.Before(since))",
		New:  "k == nil",
		Test: "./internal/tasks TestSnapshotSince",
	},
	{
		Name: "roster-while-ringing", Promise: "3: who did not come is judged by a roster from after the ringing",
		File: "internal/tasks/look.go",
		Old:  "at = at.Add(r.w.looks.over)",
		New:  "at = at.Add(0)",
		Test: "./internal/tasks TestLastLookReadsRosterAgain",
	},
	{
		Name: "six-invites", Promise: "3: a request has five invites at most",
		File: "internal/tasks/post.go",
		Old:  "if n == graph.MaxInvitees || bots > 1 {",
		New:  "if n > graph.MaxInvitees || bots > 1 {",
		Test: "./internal/tasks TestInvites/five_a_request",
	},

	// 4. Gone is success.
	{
		Name: "gone-is-failure", Promise: "4: who is gone already counts as removed",
		File: "internal/tasks/judge.go",
		Old:  "remove: reaction{outcome: ledger.AlreadyRemoved,",
		New:  "remove: reaction{outcome: ledger.Rejected,",
		Test: "./internal/tasks TestAnswers",
	},
	{
		Name: "gone-ends-the-call", Promise: "4: only 8522 and 9997 say that the call has ended",
		File: "internal/graph/classify.go",
		Old:  `(e.Code == "8522" || e.Code == "9997"):`,
		New:  `e.Code != "":`,
		Test: "./internal/graph TestClassify",
	},
	{
		Name: "cut-roster-proves", Promise: "4: a roster of 100 may be cut",
		File: "internal/graph/roster.go",
		Old:  "len(list) >= shownAtMost",
		New:  "len(list) > shownAtMost",
		Test: "./internal/graph TestRosterComplete",
	},
	{
		Name: "absent-from-a-part", Promise: "4: a part of a roster proves no absence",
		File: "internal/tasks/remove.go",
		Old:  "case snap.complete:",
		New:  "case snap.shown > 0 || snap.complete:",
		Test: "./internal/tasks TestJob/roster_of_100",
	},

	// 5. One fleet, one limit.
	{
		Name: "retry-after-ignored", Promise: "5: a pause is as long as Graph says",
		File: "internal/tasks/gate.go",
		Old:  "time.Since(r.Started), r.RetryAfter, r.HasRetryAfter)",
		New:  "time.Since(r.Started), 0, false)",
		Test: "./internal/tasks TestRetryAfterIsKept",
	},
	{
		Name: "retry-after-unread", Promise: "5: the answer's Retry-After is read",
		File: "internal/graph/classify.go",
		Old:  `return ParseRetryAfter(a.header.Get("Retry-After"), now)`,
		New:  `return ParseRetryAfter(a.header.Get("X-Retry-After"), now)`,
		Test: "./internal/graph TestErrorDetails",
	},
	{
		Name: "pause-not-shared", Promise: "5: a pause stops all workers",
		File: "internal/ratelimit/scripts/refuse.lua",
		Old:  "'since', whole(now), 'until', version, 'strikes'",
		New:  "'since', whole(now), 'until', whole(now), 'strikes'",
		Test: "./internal/ratelimit TestLimiter/pause_stops_all",
	},
	{
		Name: "slot-in-a-pause", Promise: "5: a slot from before a pause is void",
		File: "internal/ratelimit/slot.go",
		Old:  "left, err := s.line.paused(ctx)",
		New:  "left, err := time.Duration(0), ctx.Err()",
		Test: "./internal/ratelimit TestLimiter/pause_during_the_wait",
	},
	{
		Name: "slot-given-twice", Promise: "5: all workers share one rate",
		File: "internal/ratelimit/scripts/lease.lua",
		Old:  "'next', whole(free + count * step),",
		New:  "'next', whole(free + (count - 1) * step),",
		Test: "./internal/ratelimit TestLimiter/all_workers_share_one_rate",
	},
	{
		Name: "throttle-costs-an-attempt", Promise: "5: a 429 costs no attempt",
		File: "internal/tasks/judge.go",
		Old:  "both(reaction{next: throttle}),",
		New:  "both(reaction{next: again}),",
		Test: "./internal/tasks TestReactions",
	},

	// What SECURITY.md promises of the token.
	{
		Name: "token-to-another-origin", Promise: "the token goes to Graph alone",
		File: "internal/graph/roster.go",
		Old:  "u.User != nil || !sameOrigin(c.base, u) {",
		New:  "u.User != nil {",
		Test: "./internal/graph TestNextLinksThatAreNotFollowed",
	},
	{
		Name: "redirect-followed", Promise: "no redirect is followed",
		File: "internal/graph/do.go",
		Old:  "c.transport.RoundTrip(req)",
		New:  "(&http.Client{Transport: c.transport}).Do(req)",
		Test: "./internal/graph TestRedirectsAreNotFollowed",
	},
}
