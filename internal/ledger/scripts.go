package ledger

import (
	"context"
	_ "embed"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/create.lua
var createLua string

//go:embed scripts/alive.lua
var aliveLua string

//go:embed scripts/number.lua
var numberLua string

//go:embed scripts/newest.lua
var newestLua string

//go:embed scripts/observe.lua
var observeLua string

//go:embed scripts/claim.lua
var claimLua string

//go:embed scripts/intend.lua
var intendLua string

//go:embed scripts/changed.lua
var changedLua string

//go:embed scripts/renew.lua
var renewLua string

//go:embed scripts/release.lua
var releaseLua string

//go:embed scripts/inspect.lua
var inspectLua string

//go:embed scripts/account.lua
var accountLua string

//go:embed scripts/settle.lua
var settleLua string

//go:embed scripts/reopen.lua
var reopenLua string

//go:embed scripts/cancel.lua
var cancelLua string

//go:embed scripts/mark.lua
var markLua string

//go:embed scripts/finished.lua
var finishedLua string

//go:embed scripts/receiver.lua
var receiverLua string

//go:embed scripts/notice.lua
var noticeLua string

//go:embed scripts/noticed.lua
var noticedLua string

var (
	createScript  = redis.NewScript(createLua)
	aliveScript   = redis.NewScript(aliveLua)
	numberScript  = redis.NewScript(numberLua)
	observeScript = redis.NewScript(newestLua + observeLua)
	claimScript   = redis.NewScript(newestLua + claimLua)
	intendScript  = redis.NewScript(intendLua)
	changedScript = redis.NewScript(newestLua + changedLua)
	renewScript   = redis.NewScript(renewLua)
	releaseScript = redis.NewScript(newestLua + releaseLua)
	inspectScript = redis.NewScript(inspectLua)
	settleScript  = redis.NewScript(accountLua + settleLua)
	reopenScript  = redis.NewScript(accountLua + reopenLua)
	cancelScript  = redis.NewScript(cancelLua)
	markScript    = redis.NewScript(markLua)

	finishedScript = redis.NewScript(finishedLua)
	receiverScript = redis.NewScript(receiverLua)
	noticeScript   = redis.NewScript(noticeLua)
	noticedScript  = redis.NewScript(noticedLua)
)

// scriptCall is one run of a script.
type scriptCall struct {
	keys []string
	args []any
}

// runAll runs a script many times, together with the commands that are in the
// pipeline already. A server that does not know the script yet is sent its text.
func runAll(ctx context.Context, rdb redis.UniversalClient, pipe redis.Pipeliner, script *redis.Script, calls []scriptCall) ([]*redis.Cmd, error) {
	cmds := make([]*redis.Cmd, len(calls))
	for i, c := range calls {
		cmds[i] = script.EvalSha(ctx, pipe, c.keys, c.args...)
	}
	// The error is that of the first command that has one.
	if _, err := pipe.Exec(ctx); err != nil && !redis.HasErrorPrefix(err, "NOSCRIPT") {
		return nil, wrap(err)
	}
	for i, c := range calls {
		if redis.HasErrorPrefix(cmds[i].Err(), "NOSCRIPT") {
			cmds[i] = script.Run(ctx, rdb, c.keys, c.args...)
		}
		if err := cmds[i].Err(); err != nil {
			return nil, wrap(err)
		}
	}
	return cmds, nil
}
