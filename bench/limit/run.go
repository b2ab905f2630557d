package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"rollcall/bench/internal/stand"
)

// run measures one after another: two at once would share the processors.
func run(ctx context.Context, args []string) (err error) {
	s, err := parse(args)
	if err != nil {
		return err
	}
	if s.out != "" {
		if err := os.MkdirAll(s.out, 0o750); err != nil {
			return err
		}
	}
	bin, err := os.MkdirTemp("", "rollcall-bench-bin-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
	root, err := stand.ModuleRoot()
	if err != nil {
		return err
	}
	if err := stand.Build(ctx, root, bin); err != nil {
		return err
	}
	results, failed := measureAll(ctx, s, bin)
	if s.markdown || s.out == "" {
		failed = errors.Join(failed, writeMarkdown(os.Stdout, s.scenarios, results))
	}
	return failed
}

// measureAll makes all measurements. One that fails does not stop the others,
// which may have taken an hour; what has been measured is kept as it comes.
func measureAll(ctx context.Context, s *settings, bin string) (results []result, failed error) {
	for _, sc := range s.scenarios {
		for _, sub := range s.subjectsFor(sc) {
			fmt.Fprintf(os.Stderr, "%s, %s\n", sc.name, sub.name)
			r, err := s.measureOne(ctx, sc, sub, bin)
			if ctx.Err() != nil {
				return results, errors.Join(failed, ctx.Err())
			}
			if err == nil {
				results = append(results, r)
				err = s.keep(results)
			}
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s, %s: %w", sc.name, sub.name, err))
			}
		}
	}
	return results, failed
}

// measureOne measures a subject in a scenario: for tenants twice.
func (s *settings) measureOne(ctx context.Context, sc scenario, sub subject, bin string) (result, error) {
	t := &trial{sc: sc, sub: sub, length: sc.length(s.length)}
	if err := t.run(ctx, bin); err != nil {
		return result{}, err
	}
	r := t.sum()
	if s.out != "" && sub.name == product {
		if err := t.draw(filepath.Join(s.out, sc.name+".svg")); err != nil {
			return result{}, err
		}
	}
	if len(sc.tenants) > 0 {
		alone := &trial{sc: sc, sub: sub, length: t.length, only: sc.tenants[1].name}
		if err := alone.run(ctx, bin); err != nil {
			return result{}, err
		}
		r.Tenants.Alone = alone.tenant(1)
	}
	return r, nil
}

// keep writes the results so far.
func (s *settings) keep(results []result) error {
	if s.out == "" {
		return nil
	}
	body, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.out, "results.json"), append(body, '\n'), 0o644)
}
