// Command bulk measures what a batch costs before Graph's limit matters: enqueueing
// it, keeping it, carrying it out against a Graph that answers at once, and looking
// at it; beside rollcall what people use otherwise, with the same rows and the same
// Redis. It must not know how any of them does it.
package main

import "rollcall/bench/internal/command"

func main() { command.Main(run) }
