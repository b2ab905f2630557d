// Command worker carries tasks out until it is told to end.
package main

import (
	"rollcall/cmd/internal/cli"
	"rollcall/cmd/internal/worker"
)

func main() { cli.Main(worker.Run) }
