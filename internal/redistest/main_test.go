package redistest

import (
	"testing"

	"rollcall/internal/testutil"
)

func TestMain(m *testing.M) {
	testutil.SetParallel(6)
	Main(m)
}
