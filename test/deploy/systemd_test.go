package deploy

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const systemdDir = "deploy/systemd"

// mostExposed is the most that 'systemd-analyze security' may make of a unit, times
// ten: below 2.5 it calls them OK.
const mostExposed = "--threshold=20"

// TestUnits has systemd itself look at the units, with the commands where they will be.
func TestUnits(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("ROLLCALL_REQUIRE_SYSTEMD") == "1" {
			t.Fatal(err)
		}
		t.Skip("systemd-analyze is not on PATH")
	}
	files, err := filepath.Glob(filepath.Join(root, systemdDir, "rollcall-*"))
	if err != nil || len(files) != 3 {
		t.Fatalf("there are %v: %v", files, err)
	}
	// All of them together, as they name each other.
	dir := t.TempDir()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		there := strings.ReplaceAll(string(text), "/usr/local/bin/", bin+"/")
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(there), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files {
		name := "./" + filepath.Base(file)
		if out := analyze(t, dir, "verify", name); out != "" {
			t.Errorf("%s: %s", name, out)
		}
		if strings.HasSuffix(name, ".service") {
			analyze(t, dir, "security", "--offline=true", mostExposed, "--no-pager", name)
		}
	}
}

// analyze runs systemd-analyze, which must end well, and returns what it says.
func analyze(t *testing.T, dir string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "systemd-analyze", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
