package admin

import (
	"time"

	"github.com/callsync/callsync/store"
)

// Unread are calls or deliveries that are in the journal and cannot be read, since it
// is damaged there. They are left out of the answer, and may belong to it.
type Unread struct {
	Count int `json:"count"`
	// Calls names the first of them, as far as it is known which they are.
	Calls []string `json:"calls,omitempty"`
	// Oldest and Newest are between which times they were received.
	Oldest  time.Time `json:"oldest,omitzero"`
	Newest  time.Time `json:"newest,omitzero"`
	Problem string    `json:"problem"` // of the first
}

// maxUnread bounds the calls named.
const maxUnread = 100

// noted is u with one more; u may be nil.
func (u *Unread) noted(id string, received time.Time, problem error) *Unread {
	if u == nil {
		u = &Unread{Problem: problem.Error(), Oldest: received, Newest: received}
	}
	u.Count++
	if received.Before(u.Oldest) {
		u.Oldest = received
	}
	if received.After(u.Newest) {
		u.Newest = received
	}
	if id != "" && len(u.Calls) < maxUnread {
		u.Calls = append(u.Calls, id)
	}
	return u
}

// call is noted for a call of a list.
func (u *Unread) call(c store.CallView) *Unread { return u.noted(c.ID, c.ReceivedAt, c.Damaged) }
