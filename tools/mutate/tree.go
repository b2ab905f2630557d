package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// workCopy is a copy of the tree in a temporary directory.
type workCopy struct {
	dir   string // all of it
	tree  string
	temp  string        // for what tests leave behind when they are cut off
	undo  func() error  // takes out the fault that is in the tree
	green map[look]bool // tests that pass without a fault
}

// newCopy copies what git knows of the working tree, and what it does not ignore.
func newCopy(ctx context.Context) (c *workCopy, err error) {
	root, err := git(ctx, ".", "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	from := strings.TrimSpace(root)
	names, err := git(ctx, from, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return nil, err
	}
	c = &workCopy{dir: dir, tree: filepath.Join(dir, "tree"), temp: filepath.Join(dir, "t"), green: map[look]bool{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.remove())
		}
	}()

	if err := os.Mkdir(c.temp, 0o700); err != nil {
		return c, err
	}
	for name := range strings.SplitSeq(names, "\x00") {
		if name == "" {
			continue
		}
		if err := copyFile(filepath.Join(from, name), filepath.Join(c.tree, name)); err != nil {
			return c, err
		}
	}
	return c, nil
}

// copyFile copies a regular file with its mode. What is listed and not there is left out.
func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, text, info.Mode().Perm())
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return string(out), nil
}

func (c *workCopy) remove() error { return os.RemoveAll(c.dir) }

// anchored makes sure that each fault can be planted.
func (c *workCopy) anchored(faults []fault) error {
	var all []error
	for _, f := range faults {
		_, err := f.mutated(c.tree)
		all = append(all, err)
	}
	return errors.Join(all...)
}

// plant puts a fault into the copy, in place of the one before.
func (c *workCopy) plant(f fault) error {
	if err := c.lift(); err != nil {
		return err
	}
	text, err := f.mutated(c.tree)
	if err != nil {
		return err
	}
	name := filepath.Join(c.tree, f.File)
	original, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	c.undo = func() error { return os.WriteFile(name, original, 0o600) }

	return os.WriteFile(name, text, 0o600)
}

// lift takes out the fault that is in the copy.
func (c *workCopy) lift() error {
	if c.undo == nil {
		return nil
	}
	undo := c.undo
	c.undo = nil
	return undo()
}

// mutated returns the text of the fault's file with the fault in it.
func (f fault) mutated(tree string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(tree, f.File))
	if err != nil {
		return nil, fmt.Errorf("fault %s: its anchor is gone: %w", f.Name, err)
	}
	if n := bytes.Count(text, []byte(f.Old)); n != 1 {
		return nil, fmt.Errorf("fault %s: its anchor is gone: %s has %d times %q, must have it once", f.Name, f.File, n, f.Old)
	}
	return bytes.Replace(text, []byte(f.Old), []byte(f.New), 1), nil
}
