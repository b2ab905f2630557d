package console

import (
	"testing"

	"rollcall/internal/redistest"
	"rollcall/internal/testutil"
)

func TestMain(m *testing.M) {
	testutil.SetParallel(6)
	redistest.Main(m)
}
