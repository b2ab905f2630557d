// Command graphsim serves the simulated Microsoft Graph.
package main

import (
	"rollcall/cmd/internal/cli"
	"rollcall/cmd/internal/graphsim"
)

func main() { cli.Main(graphsim.Run) }
