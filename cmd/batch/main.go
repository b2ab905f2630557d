// Command batch shows batches, retries and cancels them.
package main

import (
	"rollcall/cmd/internal/batch"
	"rollcall/cmd/internal/cli"
)

func main() { cli.Main(batch.Run) }
