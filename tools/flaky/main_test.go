package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRun runs a module with a test that is green every second time only.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module sample\n\ngo 1.26\n",
		"a_test.go": `package sample

import (
	"os"
	"testing"
)

func TestGreen(t *testing.T) {}

func TestSecond(t *testing.T) {
	t.Run("part", func(t *testing.T) {
		if os.Remove("mark") == nil {
			t.Error("red")
		} else if err := os.WriteFile("mark", nil, 0o600); err != nil {
			t.Fatal(err)
		}
	})
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("TMPDIR", t.TempDir())

	var said strings.Builder
	green, err := run(t.Context(), []string{"-dir", dir, "-runs", "2", "-race=false", "-busy", "0"}, &said)
	if err != nil || green {
		t.Fatalf("green: %t, error: %v\n%s", green, err, said.String())
	}
	if want := "1 of 2  sample TestSecond/part\n"; !strings.HasSuffix(said.String(), want) {
		t.Errorf("the list is\n%s\nand does not end in %q", said.String(), want)
	}

	said.Reset()
	green, err = run(t.Context(), []string{"-dir", dir, "-runs", "2", "-race=false", "-busy", "0", "-run", "Green"}, &said)
	if err != nil || !green {
		t.Errorf("green: %t, error: %v\n%s", green, err, said.String())
	}
}

func TestWithoutParents(t *testing.T) {
	got := withoutParents([]string{"p T/a/b", "p T/a", "p T", "p", "p U", "q"})
	if want := []string{"p T/a/b", "p U", "q"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
