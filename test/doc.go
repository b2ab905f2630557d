// Package test runs the four commands as the processes that users run: scripts
// of what one prints and how it ends, files that must be refused, and batches
// that must come through kills, crashes and refusals with every row accounted
// for, while Redis, Graph and the connections to them fail. It knows the commands,
// their output and the simulator's controls, and must not know how anything is
// done inside, but for the names of keys that are moved or searched in Redis.
package test
