//go:build integration || endurance

package test

import (
	"flag"
	"testing"
	"time"
)

// long makes tests as large, and their faults as long, as before a release.
var long = flag.Bool("long", false, "run the endurance tests at full length")

// hold keeps a fault up for d. How long a fault lasts is what such a test is about;
// nothing is expected to have happened when it is over.
func hold(t testing.TB, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("the test ended while a fault was held")
	}
}
