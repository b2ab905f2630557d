package worker

const usage = `worker takes the tasks that enqueue made and carries them out through Microsoft
Graph, as fast as Graph allows. Any number of workers can share one Redis.

Usage: worker [flags]

  --redis URL           redis:// rediss:// redis-sentinel:// redis-cluster://
                        (redis://127.0.0.1:6379/0)
  --graph-url URL       another Graph than the cloud's own, such as graphsim
  --cloud NAME          global, usgov or dod (global)
  --tenant-id ID        tenant of rows that name none (AZURE_TENANT_ID)
  --concurrency N       tasks at once (32)
  --rate N              requests a second to Graph of all workers together, in
                        a tenant, at most; 0: as many as Graph is found to
                        take (0)
  --max-attempts N      tries of a row on temporary errors (8)
  --confirm             look whether those invited join (true); with
                        --confirm=false accepted invites end as 'invited'
  --confirm-timeout T   who is not there by then has not answered (75s; Graph
                        rings for 60s: less can call 'declined' who still rings)
  --http ADDR           /healthz /readyz /metrics, and the console: batches,
                        their rows, the fleet; empty turns it off
                        (127.0.0.1:9464)
  --healthcheck         start nothing, but ask the worker at --http (of this machine
                        or container) for /readyz: exit 0 if it is ready, else 1
  --drain               exit 0 when no unfinished batch is left
  --notify-url URL      webhook that is sent a JSON summary of each batch that
                        finishes, until it is received; signed with the secret
                        in the file that ROLLCALL_NOTIFY_SECRET_FILE names. Set
                        it as ROLLCALL_NOTIFY_URL if the URL is a secret, too
  --shutdown-timeout T  time to finish requests under way when told to end (40s)
  --log-format NAME     text or json (text)
  --log-level NAME      debug, info, warn, error (info)
  --help, --version

Every flag can be set by environment: --redis is ROLLCALL_REDIS, --max-attempts
is ROLLCALL_MAX_ATTEMPTS. A flag beats the environment.

Credentials come from the environment or files only: AZURE_TENANT_ID,
AZURE_CLIENT_ID, AZURE_CLIENT_SECRET (or a certificate, workload or managed
identity), or ROLLCALL_TOKEN_FILE, a file with a ready token. The password of Redis
is in the URL, or in the file that ROLLCALL_REDIS_PASSWORD_FILE names. The console
shows rows and takes orders if ROLLCALL_CONSOLE_TOKEN_FILE names a file with a
token for it; without one it shows counts.

Traces: with OTEL_EXPORTER_OTLP_ENDPOINT set, spans of tasks and of requests to
Graph go there by OTLP over HTTP; the other OTEL_* variables are heeded, too.

Exit status: 0 ended by a signal, drained, or with --healthcheck ready; 1 could not
run, or not ready; 2 usage; 130 ended by a signal before it was drained.

Examples:
  # Against the simulator (graphsim --roster examples/roster.csv), until all is done:
  ROLLCALL_TOKEN_FILE=examples/simulator.token worker --graph-url http://127.0.0.1:8089 --drain
`
