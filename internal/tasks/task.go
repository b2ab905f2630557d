package tasks

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/hibiken/asynq"

	"rollcall/internal/ledger"
	"rollcall/internal/roster"
)

// Types of tasks in the queue.
const (
	typeInvite = "rollcall:invite"
	typeDelete = "rollcall:delete"
)

// queues are the queues a batch can go to, with their share of the workers'
// attention.
var queues = map[string]int{"high": 6, "default": 3, "low": 1}

// lookQueue is for tasks somebody is being rung for. Whether they come can be
// seen for a short time only, which must not pass behind a long queue.
const (
	lookQueue = "rollcall-look"
	lookShare = 40
)

// Queues are the names that a batch's queue can have.
func Queues() []string { return []string{"high", "default", "low"} }

// queueName keeps rollcall's queues apart from others in the same Redis.
func queueName(queue string) string { return "rollcall-" + queue }

func taskID(batch string, n int64) string { return batch + "." + strconv.FormatInt(n, 10) }

// lookID is the id in lookQueue of a task.
func lookID(taskID string) string { return taskID + ".look" }

// taskLimit is far above what one run of a task takes; asynq wants a limit.
const taskLimit = time.Hour

// newTask makes the queue's task of a pack. Its id is the pack's, so that it
// can only be in the queue once.
func newTask(b ledger.Batch, k *pack) *asynq.Task {
	typ := typeDelete
	if k.action == roster.Invite {
		typ = typeInvite
	}
	return asynq.NewTask(typ, payload(b, k.rows), options(taskID(b.ID, k.n), queueName(b.Queue))...)
}

func options(id, queue string) []asynq.Option {
	return []asynq.Option{
		asynq.TaskID(id),
		asynq.Queue(queue),
		asynq.Timeout(taskLimit),
		// Attempts are counted in the ledger: asynq archives a task whose
		// retries are used up, even one that was only throttled, and its
		// archive forgets.
		asynq.MaxRetry(math.MaxInt32),
	}
}

// task is a payload as the handler uses it.
type task struct {
	id     string // in the queue
	batch  ledger.Batch
	tenant string
	action roster.Action
	rows   []roster.Change
}

// reads tells whether the task needs the roster of its call.
func (t *task) reads() bool {
	return t.action == roster.Invite ||
		slices.ContainsFunc(t.rows, func(c roster.Change) bool { return c.ParticipantID == "" })
}

// sends tells whether something has probably to be sent where the call's roster
// is as shown; with no roster, it has.
func (t *task) sends(snap *snapshot) bool {
	if snap == nil || snap.err != nil {
		return true
	}
	return slices.ContainsFunc(t.rows, func(c roster.Change) bool {
		there := len(snap.endpoints(c)) > 0
		return c.Action == roster.Invite && !there || c.Action == roster.Delete && (there || c.ParticipantID != "")
	})
}

// refs are the rows as the ledger wants them.
func refs(rows []roster.Change) []ledger.RowRef {
	out := make([]ledger.RowRef, len(rows))
	for i, c := range rows {
		out[i] = ledger.RowRef{N: c.Row, Keys: c.Keys()}
	}
	return out
}
