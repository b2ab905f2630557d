package test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// trouble is one fault of a chaos run. What it needs is drawn beforehand: the
// schedule depends on the seed, the length of the run and the number of workers
// alone.
type trouble struct {
	at     time.Duration // since the start of the run
	length time.Duration // until it is mended
	kind   string
	who    int     // the worker it is about, if it is about one
	amount float64 // from 0 to 1: how bad it is
}

func (f trouble) String() string {
	return fmt.Sprintf("%7.1fs %-12s worker %d for %4.1fs, %.2f", f.at.Seconds(), f.kind, f.who, f.length.Seconds(), f.amount)
}

// troubles are the kinds and how long they last at most.
var troubles = []struct {
	kind    string
	longest time.Duration
}{
	{"kill", 5 * time.Second},         // SIGKILL of a worker, started again at the end
	{"stop", 5 * time.Second},         // SIGTERM, the same
	{"freeze", 15 * time.Second},      // SIGSTOP, SIGCONT at the end
	{"enqueue", 0},                    // SIGKILL of the enqueue that runs
	{"redis.crash", 8 * time.Second},  // SIGKILL of redis-server, started again on its AOF
	{"redis.pause", 4 * time.Second},  // it answers nobody
	{"redis.kick", 0},                 // it closes all connections and forgets the scripts
	{"redis.cut", 10 * time.Second},   // a worker's connections to it are closed, and refused
	{"redis.hole", 10 * time.Second},  // they are open, and nothing comes through
	{"redis.slow", 15 * time.Second},  // up to 400 ms each way
	{"redis.torn", 10 * time.Second},  // each ends in the middle of a command
	{"redis.deaf", 10 * time.Second},  // each ends in the middle of an answer
	{"graph.cut", 10 * time.Second},   // the same with Graph
	{"graph.hole", 10 * time.Second},  // …
	{"graph.slow", 15 * time.Second},  // …
	{"graph.torn", 10 * time.Second},  // …
	{"graph.deaf", 10 * time.Second},  // …
	{"graph.fault", 15 * time.Second}, // Graph answers badly, or not what it did
	{"graph.limit", 15 * time.Second}, // its limit moves
}

// schedule deals out the kinds of trouble as from a pack of cards, one every one
// to three seconds, so that each of them comes, and many overlap.
func schedule(seed uint64, run time.Duration, workers int) []trouble {
	rng := rand.New(rand.NewPCG(seed, 0))
	var all []trouble
	var pack []int
	for at := time.Second; at < run; at += time.Second + time.Duration(rng.Int64N(int64(2*time.Second))) {
		if len(pack) == 0 {
			pack = rng.Perm(len(troubles))
		}
		k := troubles[pack[0]]
		pack = pack[1:]
		f := trouble{at: at, kind: k.kind, who: rng.IntN(workers), amount: rng.Float64()}
		if k.longest > 0 {
			f.length = 100*time.Millisecond + time.Duration(rng.Int64N(int64(k.longest)))
		}
		all = append(all, f)
	}
	return all
}

// TestChaosSchedule: a seed gives the same troubles again, another gives others,
// and all kinds come up.
func TestChaosSchedule(t *testing.T) {
	one, two, other := schedule(7, time.Minute, 3), schedule(7, time.Minute, 3), schedule(8, time.Minute, 3)
	if !slices.Equal(one, two) {
		t.Error("the same seed gives two schedules")
	}
	if slices.Equal(one, other) {
		t.Error("two seeds give one schedule")
	}
	seen := map[string]bool{}
	for _, f := range one {
		seen[f.kind] = true
	}
	if len(seen) != len(troubles) {
		t.Errorf("only %d of %d kinds come up in a minute", len(seen), len(troubles))
	}
	if !slices.IsSortedFunc(one, func(a, b trouble) int { return cmp.Compare(a.at, b.at) }) {
		t.Error("the schedule is not in order")
	}
}
