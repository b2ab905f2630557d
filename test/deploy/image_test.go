package deploy

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// TestDockerfile reads the Dockerfile as BuildKit does, with its warnings.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "deploy", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range file.Warnings {
		t.Errorf("line %v: %s", w.Location, w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, description, _, message string, _ []parser.Range) {
		t.Errorf("%s: %s (%s)", rule, message, description)
	}})
	stages, _, err := instructions.Parse(file.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	var user string
	var health, cmd []string
	for _, c := range stages[len(stages)-1].Commands {
		switch c := c.(type) {
		case *instructions.UserCommand:
			user = c.User
		case *instructions.HealthCheckCommand:
			health = c.Health.Test
		case *instructions.CmdCommand:
			cmd = c.CmdLine
		case *instructions.RunCommand:
			t.Error("the last stage runs something: there is nothing to run it with")
		}
	}
	if user != "65532:65532" || !slices.Equal(health, []string{"CMD", "worker", "--healthcheck"}) || !slices.Equal(cmd, []string{"worker"}) {
		t.Errorf("user %q, health check %q, command %q", user, health, cmd)
	}
}
