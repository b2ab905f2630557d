package stand

import (
	"errors"
	"os"
	"path/filepath"
)

// ModuleRoot finds the module that is measured: the one above this one's.
func ModuleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "cmd", "graphsim")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("run this within rollcall's tree: its commands are built from there")
		}
	}
}
