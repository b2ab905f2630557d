package tasks

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
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

// payload is a task on the wire. It holds all that its handler needs, so that
// the handler reads nothing but the rows' state from the ledger.
type payload struct {
	Batch  string       `json:"b"`
	Base   int64        `json:"q"`
	Expire int64        `json:"x"` // seconds
	Keep   int64        `json:"k"` // seconds
	Tenant string       `json:"t,omitempty"`
	Call   string       `json:"c"`
	Rows   []payloadRow `json:"r"`
}

type payloadRow struct {
	N           int64       `json:"n"`
	Kind        roster.Kind `json:"k,omitempty"`
	ID          string      `json:"i,omitempty"`
	Participant string      `json:"p,omitempty"`
	Name        string      `json:"d,omitempty"`
	Replaces    string      `json:"s,omitempty"`
}

func taskID(batch string, n int64) string { return fmt.Sprintf("%s.%d", batch, n) }

// lookID is the id in lookQueue of a task.
func lookID(taskID string) string { return taskID + ".look" }

// taskLimit is far above what one run of a task takes; asynq wants a limit.
const taskLimit = time.Hour

// newTask makes the queue's task of a pack. Its id is the pack's, so that it
// can only be in the queue once.
func newTask(b ledger.Batch, k *pack) (*asynq.Task, error) {
	first := k.rows[0]
	p := payload{
		Batch: b.ID, Base: b.Base, Expire: int64(b.Expire / time.Second), Keep: int64(b.Keep / time.Second),
		Tenant: first.TenantID, Call: first.CallID, Rows: make([]payloadRow, len(k.rows)),
	}
	for i, c := range k.rows {
		p.Rows[i] = payloadRow{
			N: c.Row, Kind: c.Kind, ID: c.ID, Participant: c.ParticipantID,
			Name: c.DisplayName, Replaces: c.ReplacesCallID,
		}
	}
	body, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode task: %w", err)
	}
	typ := typeDelete
	if k.action == roster.Invite {
		typ = typeInvite
	}
	return asynq.NewTask(typ, body, options(taskID(b.ID, k.n), queueName(b.Queue))...), nil
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
	batch  ledger.Batch
	tenant string
	action roster.Action
	rows   []roster.Change
}

func readTask(t *asynq.Task) (*task, error) {
	var p payload
	if err := json.Unmarshal(t.Payload(), &p); err != nil {
		return nil, fmt.Errorf("read task: %w", err)
	}
	out := &task{
		batch: ledger.Batch{
			ID: p.Batch, Base: p.Base,
			Expire: time.Duration(p.Expire) * time.Second, Keep: time.Duration(p.Keep) * time.Second,
		},
		tenant: p.Tenant, action: roster.Delete, rows: make([]roster.Change, len(p.Rows)),
	}
	if t.Type() == typeInvite {
		out.action = roster.Invite
	}
	for i, r := range p.Rows {
		out.rows[i] = roster.Change{
			Row: r.N, Action: out.action, TenantID: p.Tenant, CallID: p.Call, Kind: r.Kind, ID: r.ID,
			ParticipantID: r.Participant, DisplayName: r.Name, ReplacesCallID: r.Replaces,
		}
	}
	if p.Batch == "" || p.Call == "" || len(p.Rows) == 0 {
		return nil, fmt.Errorf("read task: it names no batch, call or rows")
	}
	return out, nil
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
