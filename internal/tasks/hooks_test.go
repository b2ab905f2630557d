package tasks

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/redis/go-redis/v9"
)

var errCut = errors.New("cut off by the test")

// cutHook lets some commands through and refuses all that follow, as if the
// process had been killed; a pipeline may be cut in its middle.
type cutHook struct {
	mu   sync.Mutex
	left int
	seen int
}

// pass tells how many of n commands go through, and counts them all.
func (h *cutHook) pass(n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen += n
	through := min(max(h.left, 0), n)
	h.left -= n
	return through
}

func (h *cutHook) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (h *cutHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if h.pass(1) == 0 {
			cmd.SetErr(errCut)
			return errCut
		}
		return next(ctx, cmd)
	}
}

func (h *cutHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		n := h.pass(len(cmds))
		var err error
		if n > 0 {
			err = next(ctx, cmds[:n])
		}
		for _, c := range cmds[n:] {
			c.SetErr(errCut)
			err = errCut
		}
		return err
	}
}

var errNoToken = errors.New("the identity service is away")

func (l *lateToken) Token(context.Context, string, bool) (string, error) {
	l.asked.Add(1)
	if !l.there.Load() {
		return "", errNoToken
	}
	return "t", nil
}
