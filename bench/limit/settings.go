package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"
)

// settings is what the flags say.
type settings struct {
	scenarios []scenario
	subjects  []string
	length    time.Duration
	out       string
	markdown  bool
}

func parse(args []string) (*settings, error) {
	s := new(settings)
	fs := flag.NewFlagSet("limit", flag.ExitOnError)
	names := fs.String("scenario", "", "scenarios, with commas between (default: all)")
	subjects := fs.String("subject", "", "subjects, with commas between (default: all that fit the scenario)")
	fs.DurationVar(&s.length, "duration", 70*time.Second, "length of a measurement; some scenarios take longer")
	fs.StringVar(&s.out, "out", "", "directory for results.json and plots")
	fs.BoolVar(&s.markdown, "markdown", false, "print tables on standard output; without --out that is done in any case")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("limit takes no arguments, only flags")
	}
	if s.length < 2*warmUp {
		return nil, fmt.Errorf("--duration must be at least %s: the first %s are not measured", 2*warmUp, warmUp)
	}
	for _, name := range split(*subjects) {
		if !slices.ContainsFunc(subjectsKnown, func(k subject) bool { return k.name == name }) {
			return nil, fmt.Errorf("--subject: no subject is called %q", name)
		}
		s.subjects = append(s.subjects, name)
	}
	all := scenarios()
	if *names == "" {
		s.scenarios = all
		return s, nil
	}
	for _, name := range split(*names) {
		i := slices.IndexFunc(all, func(sc scenario) bool { return sc.name == name })
		if i < 0 {
			return nil, fmt.Errorf("--scenario: no scenario is called %q", name)
		}
		s.scenarios = append(s.scenarios, all[i])
	}
	return s, nil
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// subjectsFor gives the subjects to measure in a scenario.
func (s *settings) subjectsFor(sc scenario) []subject {
	return slices.DeleteFunc(slices.Clone(subjectsKnown), func(k subject) bool {
		return !k.fits(sc) || len(s.subjects) > 0 && !slices.Contains(s.subjects, k.name)
	})
}
