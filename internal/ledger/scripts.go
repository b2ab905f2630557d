package ledger

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/redis/go-redis/v9"
)

//go:embed scripts/create.lua
var createLua string

//go:embed scripts/alive.lua
var aliveLua string

//go:embed scripts/number.lua
var numberLua string

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

//go:embed scripts/settle.lua
var settleLua string

//go:embed scripts/reopen.lua
var reopenLua string

//go:embed scripts/mark.lua
var markLua string

var (
	createScript  = redis.NewScript(createLua)
	aliveScript   = redis.NewScript(aliveLua)
	numberScript  = redis.NewScript(numberLua)
	observeScript = redis.NewScript(observeLua)
	claimScript   = redis.NewScript(claimLua)
	intendScript  = redis.NewScript(intendLua)
	changedScript = redis.NewScript(changedLua)
	renewScript   = redis.NewScript(renewLua)
	releaseScript = redis.NewScript(releaseLua)
	inspectScript = redis.NewScript(inspectLua)
	settleScript  = redis.NewScript(settleLua)
	reopenScript  = redis.NewScript(reopenLua)
	markScript    = redis.NewScript(markLua)
)

// runAll runs one script many times in one pipeline. A server that does not
// know the script yet is sent its text.
func runAll(ctx context.Context, rdb redis.UniversalClient, script *redis.Script, calls []scriptCall) error {
	if len(calls) == 0 {
		return nil
	}
	cmds := make([]*redis.Cmd, len(calls))
	pipe := rdb.Pipeline()
	for i, c := range calls {
		cmds[i] = script.EvalSha(ctx, pipe, c.keys, c.args...)
	}
	_, _ = pipe.Exec(ctx) // the errors are read from each command
	for i, cmd := range cmds {
		err := cmd.Err()
		if redis.HasErrorPrefix(err, "NOSCRIPT") {
			err = script.Run(ctx, rdb, calls[i].keys, calls[i].args...).Err()
		}
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	return nil
}

type scriptCall struct {
	keys []string
	args []any
}
