package worker

import (
	"context"
	"log/slog"
	"time"

	"rollcall/cmd/internal/setup"
	"rollcall/internal/notify"
)

// lastMoment is how long a worker that is told to end still tries to send notices;
// after that they are left to others, or to its next start.
const lastMoment = 3 * time.Second

// notifying sends notices while run runs. The last batch may finish in its last
// moment, so what is due then is sent before the end.
func notifying(ctx context.Context, n *notify.Notifier, log *slog.Logger, run func() (drained bool, err error)) error {
	nctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	go func() { defer close(stopped); n.Run(nctx) }()
	drained, err := run()
	stop()
	<-stopped
	wait := lastMoment
	if drained {
		wait = setup.DeliverTime
	}
	fctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), wait)
	defer cancel()
	if drained {
		defer context.AfterFunc(ctx, cancel)() // told to end while it waits
	}
	if left := n.Flush(fctx); left != nil && drained {
		log.Warn("could not deliver all notices of finished batches; whoever next sends notices to this URL tries again", "host", n.Host(), "error", left)
	}
	return err
}
