//go:build linux && (integration || endurance)

package test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// imageUser is the user of deploy/Dockerfile.
const imageUser = 65532

// buildImage does in a directory of sources what deploy/Dockerfile says between its
// last COPY and its last stage, with GOFLAGS, and leaves in out what the image has.
func buildImage(t *testing.T, sources, out, flags string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "deploy", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	build, final, ok := strings.Cut(string(text), "\nFROM scratch\n")
	if !ok || !strings.Contains(final, fmt.Sprintf("\nUSER %d:%[1]d\n", imageUser)) || !strings.Contains(final, "\nCOPY --from=build /out/ /\n") {
		t.Fatal("the Dockerfile's last stage is not what this test makes of it")
	}
	_, build, ok = strings.Cut(build, "\nCOPY . .\n")
	at := strings.Index(build, "\nRUN ")
	if !ok || at < 0 {
		t.Fatal("the Dockerfile does not build")
	}
	script := strings.ReplaceAll(build[at+len("\nRUN "):], "/out/", out+"/")
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Dir = sources
	cmd.Env = append(os.Environ(), "GOFLAGS="+flags)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
}
