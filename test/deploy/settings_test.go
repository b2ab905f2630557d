package deploy

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSettingsExist wants each variable that the files set to be one that a command
// reads: nobody complains of one that is misspelt.
func TestSettingsExist(t *testing.T) {
	var help strings.Builder
	for _, name := range []string{"enqueue", "worker", "batch", "graphsim"} {
		text, err := exec.CommandContext(t.Context(), filepath.Join(bin, name), "--help").Output()
		if err != nil {
			t.Fatal(err)
		}
		help.Write(text)
	}
	files := []string{filepath.Join(root, "docker-compose.yml"), filepath.Join(root, "docs", "deploy.md"), filepath.Join(root, "docs", "runbook.md")}
	err := filepath.WalkDir(filepath.Join(root, "deploy"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	set := regexp.MustCompile(`\bROLLCALL_([A-Z_]+)\b`)
	seen := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range set.FindAllStringSubmatch(string(text), -1) {
			seen++
			flag := "--" + strings.ToLower(strings.ReplaceAll(m[1], "_", "-"))
			if !regexp.MustCompile(flag+`\b`).MatchString(help.String()) && !strings.Contains(help.String(), m[0]) {
				t.Errorf("%s: no command reads %s", file, m[0])
			}
		}
	}
	if seen == 0 {
		t.Error("nothing is set")
	}
}
