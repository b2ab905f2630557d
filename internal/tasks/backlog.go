package tasks

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

// backlog are the tasks that this process has sent away because too many waited
// for slots of their scope already. asynq would bring them back at whole seconds, in
// lumps, and slots would be lost in between: for each task that got its slot, one of
// these is called back at once. Those that are forgotten, as when this process dies,
// come back by themselves.
type backlog struct {
	mu    sync.Mutex
	tasks map[string][]awayTask // by scope, the longest away first
	calls chan string           // scopes of which one may come back
}

type awayTask struct {
	queue, id string
	tries     int
}

const (
	// backlogMost bounds what is remembered of a scope.
	backlogMost = 10_000
	// backlogEvery is how often it is looked for scopes of which nobody waits any
	// more, and backlogSome how many of those are called back then.
	backlogEvery = 250 * time.Millisecond
	backlogSome  = 8
	// backlogTries is how often it is tried to call one back that asynq has not put
	// aside yet.
	backlogTries = 3
	// backlogAway is after what time those come back who are not called.
	backlogAway = 20 * time.Second
)

func newBacklog() *backlog {
	return &backlog{tasks: map[string][]awayTask{}, calls: make(chan string, 256)}
}

func (b *backlog) add(scope string, t awayTask) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.tasks[scope]) < backlogMost {
		b.tasks[scope] = append(b.tasks[scope], t)
	}
}

func (b *backlog) pop(scope string) (t awayTask, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.tasks[scope]
	if len(all) == 0 {
		return awayTask{}, false
	}
	if t = all[0]; len(all) == 1 {
		delete(b.tasks, scope)
	} else {
		b.tasks[scope] = all[1:]
	}
	return t, true
}

func (b *backlog) scopes() (scopes []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.tasks {
		scopes = append(scopes, s)
	}
	return scopes
}

// call has one of the scope called back soon.
func (b *backlog) call(scope string) {
	select {
	case b.calls <- scope:
	default: // it is seen to when nobody waits
	}
}

// callBack calls tasks of the backlog back until ctx ends, and then all of them:
// others can do them.
func (w *Worker) callBack(ctx context.Context) {
	tick := time.NewTicker(backlogEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			for end := time.Now().Add(time.Second); time.Now().Before(end); {
				scopes := w.backlog.scopes()
				if len(scopes) == 0 {
					return
				}
				w.callSome(scopes[0], backlogSome)
			}
			return
		case scope := <-w.backlog.calls:
			w.callSome(scope, 1)
		case <-tick.C:
			for _, scope := range w.backlog.scopes() {
				if w.limiter.Waiting(scope) == 0 {
					w.callSome(scope, backlogSome)
				}
			}
		}
	}
}

func (w *Worker) callSome(scope string, n int) {
	for n > 0 {
		t, ok := w.backlog.pop(scope)
		if !ok {
			return
		}
		err := w.queue.inspector.RunTask(t.queue, t.id)
		if err == nil {
			n--
			continue
		}
		if t.tries++; t.tries < backlogTries && !errors.Is(err, asynq.ErrTaskNotFound) {
			w.backlog.add(scope, t)
			return
		}
	}
}
