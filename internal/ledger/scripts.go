package ledger

import (
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
	observeScript = redis.NewScript(newestLua + observeLua)
	claimScript   = redis.NewScript(newestLua + claimLua)
	intendScript  = redis.NewScript(intendLua)
	changedScript = redis.NewScript(changedLua)
	renewScript   = redis.NewScript(renewLua)
	releaseScript = redis.NewScript(releaseLua)
	inspectScript = redis.NewScript(inspectLua)
	settleScript  = redis.NewScript(settleLua)
	reopenScript  = redis.NewScript(reopenLua)
	markScript    = redis.NewScript(markLua)
)
