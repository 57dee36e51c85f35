package main

import (
	"github.com/callsync/callsync/admin"
)

// printUnread says which calls could not be read. The error is nil if there are none.
func printUnread(p *printer, u *admin.Unread) error {
	if u == nil {
		return nil
	}
	p.f("left out: %s that cannot be read", count(u.Count, "call"))
	if u.Oldest.Equal(u.Newest) {
		p.f(", received %s", minute(u.Newest))
	} else {
		p.f(", received %s to %s", minute(u.Oldest), minute(u.Newest))
	}
	if len(u.Calls) > 0 {
		named := u.Calls[:min(len(u.Calls), 5)]
		p.f(": %s", join(named))
		if more := u.Count - len(named); more > 0 {
			p.f(" and %d more", more)
		}
	}
	p.f("\n  %s\n", u.Problem)
	return errSilent
}

// printDamage says where the log of deliveries cannot be read.
func printDamage(p *printer, places []string) error {
	for _, text := range places {
		p.f("left out: %s\n", text)
	}
	if len(places) > 0 {
		return errSilent
	}
	return nil
}
