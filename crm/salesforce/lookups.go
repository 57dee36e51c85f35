package salesforce

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/callsync/callsync/crm"
)

const (
	// ownerLife is how long a user's id is trusted: users are deactivated.
	ownerLife = time.Hour
	// strangerLife is how long an address without a user is not asked for again.
	strangerLife = 5 * time.Minute
)

// owners caches users by lower-cased email address.
type owners struct {
	mu    sync.Mutex
	known map[string]owner
}

type owner struct {
	id    string // "" when no active user has the address
	until time.Time
}

// Resolve implements [crm.Destination]. Owners are active users by email
// address; a disposition is its own label, since Salesforce keeps it as text.
func (c *Connector) Resolve(ctx context.Context, lookups []crm.Value) (map[crm.Value]string, error) {
	out := map[crm.Value]string{}
	asked := map[string][]crm.Value{}
	for _, v := range lookups {
		switch v.Of {
		case "disposition":
			out[v] = v.Text
		case "owner":
			email := strings.ToLower(strings.TrimSpace(v.Text))
			asked[email] = append(asked[email], v)
		}
	}
	ids, err := c.users(ctx, asked)
	if err != nil {
		return nil, err
	}
	for email, values := range asked {
		for _, v := range values {
			if id := ids[email]; id != "" {
				out[v] = id
			}
		}
	}
	return out, nil
}

func (c *Connector) users(ctx context.Context, asked map[string][]crm.Value) (map[string]string, error) {
	ids := map[string]string{}
	var unknown []condition
	now := c.now()
	c.owners.mu.Lock()
	for email := range asked {
		if o, ok := c.owners.known[email]; ok && now.Before(o.until) {
			ids[email] = o.id
		} else if email != "" {
			unknown = append(unknown, condition{"Email", quote(email)})
		}
	}
	c.owners.mu.Unlock()
	if len(unknown) == 0 {
		return ids, nil
	}
	found, err := c.findUsers(ctx, unknown)
	if err != nil {
		return nil, err
	}
	c.owners.mu.Lock()
	defer c.owners.mu.Unlock()
	if c.owners.known == nil {
		c.owners.known = map[string]owner{}
	}
	for email := range asked {
		if _, ok := ids[email]; ok {
			continue
		}
		o := owner{id: found[email], until: now.Add(strangerLife)}
		if o.id != "" {
			o.until = now.Add(ownerLife)
		}
		c.owners.known[email] = o
		ids[email] = o.id
	}
	return ids, nil
}

// findUsers returns active users' ids by lower-cased email address. Where
// several share one, as copies of an org do, the oldest is taken.
func (c *Connector) findUsers(ctx context.Context, conditions []condition) (map[string]string, error) {
	s := selection{columns: []string{"Id", "Email"}, from: "User", and: "IsActive = true", order: "CreatedDate"}
	out := map[string]string{}
	rows, err := c.query(ctx, "User query", s, conditions, false)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		email := strings.ToLower(stringOf(r["Email"]))
		if id, ok := id18(stringOf(r["Id"])); ok && out[email] == "" {
			out[email] = id
		}
	}
	return out, nil
}
