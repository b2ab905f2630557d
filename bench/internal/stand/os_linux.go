package stand

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// dieWithParent has the kernel kill the process when this one dies, even of a
// SIGKILL. It goes by the thread that started it: the caller must stay on one
// that lasts.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// tick is the unit of /proc/stat.
const tick = 10 * time.Millisecond

// idle are the columns of /proc/stat in which nothing is done, and those that
// are counted in others already.
var idle = map[int]bool{4: true, 5: true, 9: true, 10: true}

// busy is the time that all processors of the machine have worked since it
// started, 0 if that is not known.
func busy() time.Duration {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	var ticks time.Duration
	for i, column := range strings.Fields(line) {
		if n, err := strconv.Atoi(column); err == nil && !idle[i] {
			ticks += time.Duration(n)
		}
	}
	return ticks * tick
}

// own is the processor time that this process has used.
func own() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakEvery is how often it is looked how much memory a process has.
const peakEvery = 10 * time.Millisecond

// watchPeak follows the most memory that the process had: what the kernel tells of
// one that has ended counts this process's, too, whose memory it began with.
func (p *Process) watchPeak() {
	path := "/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status"
	for {
		text, err := os.ReadFile(path)
		if err != nil {
			return
		}
		if _, rest, ok := strings.Cut(string(text), "VmHWM:"); ok {
			if kB, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64); err == nil {
				p.peak.Store(kB << 10)
			}
		}
		select {
		case <-p.ended:
			return
		case <-time.After(peakEvery):
		}
	}
}
