package batch

const usage = `batch shows what became of batches, and retries or cancels them.

Usage: batch list [flags]
       batch status|watch|report [flags] [BATCH]     without BATCH: the newest
       batch retry|cancel [flags] BATCH

  list      all batches, newest first
  status    how far one is: rows by outcome
  watch     stay until it is finished, showing progress
  report    what became of each row, on standard output
  retry     make failed rows pending again and enqueue them; they keep their
            place in the order of changes, so an old row never beats a newer one
  cancel    send no further row; rows under way get their own outcome

  --redis URL           redis:// rediss:// redis-sentinel:// redis-cluster://
                        (redis://127.0.0.1:6379/0)
  --output NAME         text or json (text)
  --format NAME         of a report: csv, json, or html, a page for people about
                        the batch with its failed rows by reason and what to do
                        about each (csv; json with --output json)
  --only NAME           in a report: done, skipped, failed, pending or all (all)
                        for retry: failed, expired or cancelled (failed)
  --last N              batches that list shows (100)
  --help, --version

A report of --only failed is a roster file: mend it and enqueue it. The page of
--format html is one file that needs nothing else; it names people, as rows do.

Every flag can be set by environment: --redis is ROLLCALL_REDIS. A flag beats it.
ROLLCALL_REDIS_PASSWORD_FILE names a file with the password of Redis.

Exit status: 0; for watch 4 if rows failed; 1 could not run; 2 usage;
130 interrupted.

Examples:
  batch list
  batch list --output json
  batch report --format html > batch.html
`
