// Command limit measures how well four processes, of rollcall and of what people
// use otherwise, keep to a limit of Graph that they do not know and that moves.
// It must not know how any of them does it, only how to start them.
package main

import "rollcall/bench/internal/command"

func main() { command.Main(run) }
