//go:build !linux

package stand

import (
	"os/exec"
	"time"
)

// dieWithParent does nothing where the kernel offers no such thing: Close ends
// the processes, unless this one is killed first.
func dieWithParent(*exec.Cmd) {}

// busy and own are not known here.
func busy() time.Duration { return 0 }
func own() time.Duration  { return 0 }

// watchPeak knows nothing here.
func (p *Process) watchPeak() {}
