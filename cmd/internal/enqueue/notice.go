package enqueue

import (
	"context"

	"rollcall/cmd/internal/cli"
	"rollcall/cmd/internal/setup"
	"rollcall/internal/notify"
)

// deliver makes sure of the notice of the finished batch; n is nil without
// --notify-url. A notice that is not received changes nothing of the batch, and so
// neither of the exit status.
func (s *settings) deliver(ctx context.Context, c *cli.Command, n *notify.Notifier, batch string) {
	if n == nil {
		return
	}
	dctx, cancel := context.WithTimeout(ctx, setup.DeliverTime)
	defer cancel()
	if err := n.Deliver(dctx, batch); err != nil {
		again := "workers with this URL try again, and so does the same enqueue"
		if *s.local {
			again = "it is not tried again"
		}
		s.worker.Logger(c).Warn("could not deliver the notice of the finished batch; "+again, "batch", batch, "host", n.Host(), "error", err)
	}
}
