// Package test runs the four commands as the processes that users run. Its tests are
// in three layers:
//
//   - without a build tag, what reads files only: links, anchors and marks of the pages;
//   - with the tag integration, whole processes: scripts of what a command prints and
//     how it ends, files that must be refused, pages and examples that are run, and
//     batches that must come through crashes and refusals with every row accounted for;
//   - with the tag endurance, what lasts: chaos, failover and dead workers, the accuracy
//     of the limit, many rows, and a build that can be repeated. With -long all of it is
//     as long and as large as before a release.
//
// No test expects anything within a time: faults last until their effect has been seen,
// and rates and waits are judged by the simulator's records. The package knows the
// commands, their output and the simulator's controls, and must not know how anything is
// done inside, but for the names of keys that are moved or searched in Redis.
package test
