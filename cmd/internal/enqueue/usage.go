package enqueue

const usage = `enqueue reads a roster CSV of invites and deletes, checks every row, and puts
them into the queue for the workers. The same file again is the same batch:
nothing is enqueued twice, and an interrupted enqueue is completed.

Usage: enqueue [flags] FILE...        '-' is standard input

  --redis URL           redis:// rediss:// redis-sentinel:// redis-cluster://
                        (redis://127.0.0.1:6379/0)
  --action NAME         invite or delete, for files without that column
  --call-id ID          for files without that column
  --tenant-id ID        for rows that name no tenant
  --queue NAME          high, default or low (default)
  --expire TIME         rows not applied by then end as 'expired' (24h)
  --keep TIME           how long the batch can be read after that (168h)
  --key TEXT            part of the batch's identity: the same file under
                        another key is another batch ("once a day")
  --again               make another batch of the same file
  --dry-run             check, and print the plan: rows by call, requests and
                        time at least; enqueue nothing
  --live                with --dry-run, read the calls' rosters (nothing else)
                        and say what would become of each call's rows
  --max-deletes N | N%  refuse a file that would remove more than N participants,
                        or N percent of the roster of any one call (none)
  --yes                 let through what --max-deletes would refuse
  --skip-invalid        enqueue the good rows, leave the bad ones out,
  --rejects FILE        and write those with their errors
  --wait                stay until the batch is finished, showing progress
  --report FILE         then write what became of each row (CSV)
  --output NAME         text, or json on standard output (text)
  --notify-url URL      with --wait or --local, a webhook to tell when the batch
                        is finished ('worker --help' explains it)
  --local               no Redis, no worker: do it all in this process. Progress
                        does not survive it; running the file again is safe
  --simulate            with --local, against a simulated Graph

With --local also the worker's flags: --graph-url --cloud --concurrency --rate
--max-attempts --confirm --confirm-timeout --shutdown-timeout --log-format
--log-level ('worker --help' explains them). --live and a share as --max-deletes
need the worker's credentials, too; a plan reckons with --rate and --confirm.

Columns: action, call_id, and participant_id or one of user_id, phone,
application_id, guest_id; optional tenant_id, display_name, replaces_call_id.
UTF-8 or UTF-16, comma, semicolon or tab, also as .gz.

Every flag can be set by environment: --redis is ROLLCALL_REDIS. A flag beats it.
ROLLCALL_REDIS_PASSWORD_FILE names a file with the password of Redis.

Exit status: 0 enqueued, or with --wait all rows done or skipped; 1 could not
run; 2 usage; 3 invalid rows or too many deletes, nothing enqueued; 4 finished,
some rows failed; 130 interrupted.

Examples:
  enqueue --dry-run examples/roster.csv
  enqueue --dry-run --live --local --simulate examples/roster.csv
  enqueue --local --simulate examples/roster.csv
`
