package main

import (
	"fmt"
	"net/http"

	"github.com/callsync/callsync/admin"
)

// printRefused says what came to the door and was not let in, since the daemon
// started.
func printRefused(p *printer, s admin.Status) {
	if n := s.Refused.Unauthorized; n > 0 {
		p.wrap("refused: ", styled{count(n, "request") + " without an accepted key since the start; `callsync deliveries --verdict rejected` says from where", yellow})
	}
	if n := s.Refused.Unwritten; n > 0 {
		p.wrap("refused: ", styled{fmt.Sprintf("%s since the start because the journal could not be written; %s asked to send %s again",
			count(n, "delivery"), oneOrMany(n, "its sender was", "their senders were"), oneOrMany(n, "it", "them")), yellow})
	}
	for _, m := range s.Misses {
		p.wrap("missed: ", styled{missText(m), yellow})
	}
}

// missText describes requests that never reached the webhook.
func missText(m admin.Misses) string {
	text, which := count(m.Requests, "request"), ", the last "
	if m.Keyed == m.Requests {
		text += " with an accepted key"
	} else if m.Keyed > 0 {
		text += fmt.Sprintf(", %d of them with an accepted key,", m.Keyed)
		which = ", the last such "
	}
	switch m.Status {
	case http.StatusNotFound:
		text += " came to a path that is not the webhook's"
	case http.StatusMethodNotAllowed:
		text += " came to the webhook, but not as " + oneOrMany(m.Requests, "a POST", "POSTs")
	case http.StatusRequestHeaderFieldsTooLarge:
		text += " had too large a header"
	default:
		text += fmt.Sprintf(" answered %d", m.Status)
	}
	if m.Requests == 1 {
		which = ", "
	}
	text += which + ago(m.Last, now())
	if m.Status == http.StatusMethodNotAllowed {
		return text + ": " + m.Method + ". A redirect, such as from http to https, makes a GET of a POST"
	}
	return text + " to " + m.Path
}
