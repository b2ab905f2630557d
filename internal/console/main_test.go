package console

import (
	"testing"

	"rollcall/internal/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }
