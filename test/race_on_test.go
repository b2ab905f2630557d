//go:build race && (integration || endurance)

package test

// buildFlags builds the commands with the race detector when the test has it: a race
// then ends a command with a status that no test expects.
var buildFlags = []string{"-race", "-buildvcs=false"}

const (
	raced      = true
	cgoSetting = "CGO_ENABLED=1" // the race detector needs it
)
