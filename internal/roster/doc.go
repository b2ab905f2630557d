// Package roster reads roster changes from CSV and writes them back for people.
//
// It turns files (or standard input) into [Change] values in two passes over
// the same bytes: [Input.Check] reads everything, counts and hashes it, and
// reports each problem with its line and column; [Input.Each] then hands out
// the rows one by one, with the same numbers, and fails with [ErrChanged]
// should the content differ from what was checked. Memory use does not depend
// on the size of the input.
//
// Nothing a cell holds ever appears in an error: messages name the place and
// the rule, so they may be logged and mailed.
//
// The package is pure. It must not know how changes are stored, queued or
// carried out: no Redis, no task queue, no HTTP.
package roster
