package graphsim

const usage = `graphsim serves a simulated Microsoft Graph: live calls whose rosters can be
changed. It answers as Graph does, throttles and fails as asked, and records
every request. It is for tests and trials; nothing reaches a real call.

Usage: graphsim [flags]

What exists:
  --roster FILE         make the calls of a roster CSV exist, with whom its
                        deletes name on them (repeatable)
  --action, --call-id   for roster files that lack the column
  --call ID             make a call exist (repeatable)
  --auto-calls          make every call exist when it is first named

How people answer:
  --ring MIN-MAX        how long they ring (1s-6s; 0s for at once)
  --answer SHARE        share that answers (what the others leave of 1)
  --decline SHARE       share that declines (0)
  --no-answer SHARE     share that never answers (0)
  --fail-fast           an operation fails with the first invitee who does,
                        while the others ring on
  --seed N              makes a run repeat (1)

How the service behaves:
  --listen ADDR         where to serve (127.0.0.1:8089; port 0: a free one)
  --token-file FILE     accept only this bearer token (any)
  --latency TIME        time each request takes (20ms)
  --limit N/s           token bucket: N requests a second
  --burst N             size of the bucket (one second's worth)
  --window N/TIME       fixed window: N requests in TIME
  --read-limit N/s      a bucket of one second's worth for GET requests, which
                        then do not count for the limit of the others
  --retry-after TIME    wait announced when throttled (until there is room)
  --retry-format NAME   of Retry-After: seconds, fraction, date, none (seconds)
  --fault KIND=RATE     unavailable, internal, unauthorized, reset, slow, lost,
                        gateway, cut; for one kind of request: invite.lost=0.1
                        (repeatable)
  --slow TIME           delay of the fault slow (2s)
  --page-size N         rosters in pages, rather than the first 100 only
  --operation-life TIME how long a finished operation can be read (5m)

  --help, --version

Every flag can be set by environment: --retry-after is ROLLCALL_RETRY_AFTER.

While it runs: GET /_sim/state and /_sim/requests show what has happened;
POST /_sim/calls, /_sim/faults and /_sim/end?call=ID change it. A limit for the
calls of one tenant, by what their ids begin with, is a POST to /_sim/faults:
{"tenants":{"a":{"calls":"a-","limit":{"rate":10,"reads":{"rate":20}}}}}

Ids that begin with refuses- decline, noanswer- never answer, malformed- have
the whole invite refused; calls that begin with ended- do not exist, with peer-
are no group calls: one participant an invite; whom a delete names as gone-… is
not there.

Examples:
  graphsim --auto-calls --limit 200/s --fault invite.lost=0.01
  graphsim --listen 127.0.0.1:8089 --roster examples/roster.csv
`
