package main

import (
	"context"
	"io"
	"maps"
	"slices"
	"strings"
)

type mappingCmd struct {
	output
	Version string `arg:"" help:"Version, as callsync show and callsync status print it."`
}

// Run prints a mapping file as it was, so that an edit can be taken back.
func (c *mappingCmd) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	m, err := s.MappingVersion(ctx, c.Version)
	if err != nil {
		return err
	}
	if c.JSON {
		return a.out.json(m)
	}
	a.err.f("%s, in force since %s\n", m.Name, at(m.At))
	if len(m.Routed) > 0 {
		a.err.f("it routes to %s: --json has them as well\n", join(slices.Sorted(maps.Keys(m.Routed))))
	}
	if a.out.width == 0 { // to a file, byte for byte
		_, err := io.WriteString(a.out.w, m.Source)
		return err
	}
	for line := range strings.Lines(m.Source) {
		a.out.f("%s\n", strings.TrimRight(line, "\r\n"))
	}
	return nil
}
