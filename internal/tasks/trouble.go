package tasks

import (
	"sync/atomic"

	"rollcall/internal/ledger"
)

// trouble is something that stands in the way of work until it is over. The log
// has a line when it begins and one when it ends, however many rows it is about.
type trouble struct{ on atomic.Bool }

func (t *trouble) set(w *Worker, err error, begins, ends string) {
	switch was := t.on.Swap(err != nil); {
	case err != nil && !was:
		w.log.Error(begins, "error", err)
	case err == nil && was:
		w.log.Info(ends)
	}
}

func (w *Worker) redisTrouble(err error) {
	w.away.set(w, err, "Redis does not answer, or takes no writes: work waits for it", "Redis answers again")
}

// writeTrouble is about outcomes: a Redis that is full still answers, but takes
// nothing.
func (w *Worker) writeTrouble(err error) {
	w.stuck.set(w, err, "outcomes cannot be written: they wait for Redis", "outcomes are written again")
}

// tellTrouble is about a pause. The limiter goes on trying to tell the others.
func (w *Worker) tellTrouble(err error) {
	w.untold.set(w, err, "Graph throttles, and only this worker knows: the others are told when Redis takes it", "the fleet hears of pauses again")
}

// intentTrouble is about the word that somebody will be rung, which replicas may
// have to have, too.
func (w *Worker) intentTrouble(err error) {
	w.noIntent.set(w, err, "nobody is invited: Redis does not take, or its replicas do not confirm, that it is about to be done", "invitations are sent again")
}

// unknown says once of a batch that the ledger has lost it.
func (w *Worker) unknown(b ledger.Batch) {
	if !w.lost.note(b.ID) {
		w.log.Warn("the ledger does not know a batch: it expired, or Redis lost its data; its tasks are dropped, and enqueueing the file again is safe", "batch", b.ID)
	}
}
