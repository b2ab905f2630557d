//go:build race

package test

// raceFlag builds the commands with the race detector when the test has it: a
// race then ends a command with a status that no test expects.
const raceFlag = "-race=true"
