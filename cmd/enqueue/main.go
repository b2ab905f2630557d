// Command enqueue turns roster files into a batch of queued tasks.
package main

import (
	"rollcall/cmd/internal/cli"
	"rollcall/cmd/internal/enqueue"
)

func main() { cli.Main(enqueue.Run) }
