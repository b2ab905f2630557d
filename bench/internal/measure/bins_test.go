package measure

import "testing"

func TestBins(t *testing.T) {
	log := Log{{At: 0}, {At: 499 * ms}, {At: 500 * ms}, {At: 700 * ms, Refused: true}, {At: 1600 * ms}}
	got := log.Bins(500*ms, 1700*ms)
	want := []Bin{{250 * ms, 4, 0}, {750 * ms, 2, 2}, {1250 * ms, 0, 0}}
	if len(got) != len(want) {
		t.Fatalf("%d bins, want %d: the last is not whole", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("bin %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}
