// Package tasks turns the rows of a roster into queued tasks and carries them
// out: packing, enqueueing, the handler that asks the ledger before every act
// and tells it after, the one table from Graph's answers to outcomes, and the
// sweeper that puts lost tasks back. asynq lives here and nowhere else.
//
// The ledger is the truth and the queue only says when: a task that runs twice,
// late or never harms nothing. That is why every task can be rebuilt from the
// ledger under the same id.
//
// It must not know flags, terminals or files.
package tasks
