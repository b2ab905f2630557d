package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFaultsHaveAnchors: each fault can be planted in the tree as it is.
func TestFaultsHaveAnchors(t *testing.T) {
	names := map[string]bool{}
	for _, f := range faults {
		if names[f.Name] {
			t.Errorf("two faults are named %s", f.Name)
		}
		names[f.Name] = true
		if f.Promise == "" || f.Old == f.New {
			t.Errorf("fault %s breaks nothing", f.Name)
		}
		if _, err := f.mutated("../.."); err != nil {
			t.Error(err)
		}
	}
}

func TestAnchorMustBeThereOnce(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("one two two"), 0o600); err != nil {
		t.Fatal(err)
	}
	for old, ok := range map[string]bool{"one": true, "two": false, "three": false} {
		text, err := fault{Name: "n", File: "f", Old: old, New: "1"}.mutated(dir)
		if ok != (err == nil) || ok && string(text) != "1 two two" {
			t.Errorf("%s: %q, %v", old, text, err)
		}
	}
	if _, err := (fault{Name: "n", File: "gone"}).mutated(dir); err == nil {
		t.Error("a file that is not there was mutated")
	}
}

func TestNoticedBy(t *testing.T) {
	for name, tt := range map[string]struct{ out, want string }{
		"subtest": {
			"--- FAIL: TestA (0.1s)\n    --- FAIL: TestA/x (0.1s)\n        --- FAIL: TestA/x/redis (0.1s)\n            a_test.go:1: no\n--- FAIL: TestB (0.1s)\nFAIL\n",
			"TestA/x/redis",
		},
		"panic":     {"--- FAIL: TestA (0.00s)\npanic: runtime error [recovered]\n", "TestA (panic)"},
		"elsewhere": {"panic: oh\n\ngoroutine 7 [running]:\n", "a test (panic)"},
		"deadlock":  {"--- FAIL: TestA (0.00s)\npanic: deadlock: all goroutines in bubble are blocked\n", "TestA (deadlock)"},
		"timeout":   {"panic: test timed out after 2m0s\n\trunning tests:\n\t\tTestA/x (1m59s)\n\t\tTestB (3s)\n", "TestA/x (timeout)"},
	} {
		if got := noticedBy([]byte(tt.out)); got != tt.want {
			t.Errorf("%s: noticed by %s, want %s", name, got, tt.want)
		}
	}
}

func TestPatternMatchesWholeNames(t *testing.T) {
	if got, want := pattern("TestA/x y|TestB"), `^TestA$/^x y$|^TestB$`; got != want {
		t.Errorf("pattern is %s, want %s", got, want)
	}
}
