package testutil

import (
	"flag"
	"net"
	"strconv"
	"testing"
	"time"
)

// WaitLimit bounds every wait for a condition. It only ends tests that would
// otherwise hang: no machine is so slow that a working program needs it.
const WaitLimit = 4 * time.Minute

const pollInterval = 5 * time.Millisecond

// Eventually polls cond until it holds, and fails the test after WaitLimit. what
// describes the condition in the failure message.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()

	deadline := time.Now().Add(WaitLimit)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", WaitLimit, what)
		}
		time.Sleep(pollInterval)
	}
}

// SetParallel lets n parallel tests run at once unless -parallel was given. Tests
// that wait for servers need more than one for each processor. Call it from
// TestMain.
func SetParallel(n int) {
	flag.Parse()

	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return
	}
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
		panic(err)
	}
}

// FreeAddr returns a loopback address that was free a moment ago.
func FreeAddr(t testing.TB) string {
	t.Helper()

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()

	return l.Addr().String()
}

// Advance lets d pass on the fake clock of a test. It fails a test whose clock is
// real: no result may depend on a sleep.
func Advance(t testing.TB, d time.Duration) {
	t.Helper()

	if time.Now().Year() > 2015 { // fake clocks start in 2000
		t.Fatal("testutil.Advance needs a fake clock (testing/synctest)")
	}
	time.Sleep(d)
}
