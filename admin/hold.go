package admin

import (
	"fmt"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/sync"
)

// hold says what a call waits for at a destination; nil when it is not on its
// way. What stops the destination comes first: nothing else matters until then.
func (s *Server) hold(name string, state store.State) *Hold {
	if state.Status != store.Pending && state.Status != store.Retrying {
		return nil
	}
	d, err := s.destination(name)
	if err != nil {
		return &Hold{Text: "the configuration no longer has the destination " + name}
	}
	h := d.Sync.Health()
	switch {
	case h.Phase != sync.Running && h.Phase != "":
		return &Hold{
			Text: resting(name, h), Phase: h.Phase, Reason: h.Reason, Hint: h.Hint, Kind: h.Kind,
			Since: h.Since, Until: h.Until,
		}
	case !s.Daemon:
		return &Hold{Text: "no daemon is running", Hint: "`callsync serve` starts it"}
	case state.Next.After(s.Now()):
		return &Hold{Text: "its next attempt is not due yet", Until: state.Next}
	case state.Lane == store.Replay:
		return &Hold{Text: "it is to be synced again, behind calls that come in"}
	}
	return &Hold{Text: "it is being synced, or calls that were due earlier are"}
}

// resting says in a few words why a destination takes nothing.
func resting(name string, h sync.Health) string {
	switch {
	case h.Phase == sync.Blocked && h.Kind == crm.NotReady:
		return name + " is not set up"
	case h.Phase == sync.Blocked && h.Kind == crm.Quota:
		return name + " has spent its quota of requests"
	case h.Phase == sync.Blocked && h.Kind == crm.Credential:
		return name + " refuses callsync's credentials"
	case h.Phase == sync.Blocked && h.Kind == crm.OtherAccount:
		return name + " is for another account than the one the journal knows"
	case h.Phase == sync.Broken:
		return name + " does not answer as it should, and is left alone for a while"
	}
	return fmt.Sprintf("%s is %s", name, h.Phase)
}
