package main

type versionCmd struct{ output }

func (c *versionCmd) Run(a *app) error {
	b := build()
	if c.JSON {
		return a.out.json(b)
	}
	a.out.f("callsync %s", b.Version)
	if b.Revision != "" {
		a.out.f(" (%.12s)", b.Revision)
	}
	a.out.f(", %s, %s\n", b.Go, b.Platform)
	return nil
}
