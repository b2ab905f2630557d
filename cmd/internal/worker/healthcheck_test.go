package worker

import "testing"

func TestReachable(t *testing.T) {
	for host, want := range map[string]string{
		"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "127.0.0.1": "127.0.0.1", "10.0.0.7": "10.0.0.7",
		"::1": "::1", "worker.test": "worker.test",
	} {
		if got := reachable(host); got != want {
			t.Errorf("%q is asked at %q, want %q", host, got, want)
		}
	}
}
