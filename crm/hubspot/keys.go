package hubspot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/callsync/callsync/crm"
)

// keyed are the object types that must carry callsync's key before anything may
// be written.
var keyed = []string{contacts, "calls", "meetings", "tasks"}

// A keyCache remembers, for the object types whose key property exists, whether
// the portal keeps it unique. A property that is missing is asked for again.
type keyCache struct {
	mu     sync.Mutex
	unique map[string]bool
}

func newKeyCache() *keyCache { return &keyCache{unique: map[string]bool{}} }

func (c *keyCache) get(object string) (unique, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	unique, known = c.unique[object]
	return unique, known
}

func (c *keyCache) set(object string, unique bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unique[object] = unique
}

func (c *keyCache) forget(object string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.unique, object)
}

func (c *keyCache) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.unique)
}

// Ready checks that the key properties exist. The answer is remembered once it
// is good, until HubSpot refuses one of them as unknown. While the day's quota is
// spent, or HubSpot wants a long pause, it asks whether that still holds. Every few
// minutes it asks whether it is still the same portal.
func (p *Portal) Ready(ctx context.Context) error {
	mark := p.account.mark()
	p.reconsider(ctx)
	if p.pace.mayAsk() {
		op := contacts + " property read"
		path := p.paths.properties + contacts + "/" + keyProperty(contacts)
		// Whatever the answer is, the pacer learns from it.
		_, _ = p.do(ctx, request{op: op, method: http.MethodGet, path: path, asks: true}, nil)
		if err := p.pace.withinQuota(op); err != nil {
			return err
		}
	}
	if err := p.admit(ctx, false); err != nil {
		return err
	}
	group, each := errgroup.WithContext(ctx)
	for _, object := range keyed {
		group.Go(func() error {
			_, err := p.uniqueKey(each, object)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return p.believe(ctx, mark, err)
	}
	if p.settings.Admit == nil { // for people, and for the quota's reset
		_, _ = p.readAccount(ctx, false)
	}
	return nil
}

// uniqueKey reports whether the key property of an object type is unique in this
// portal. When the property does not exist the error is the one of [lacksKey].
func (p *Portal) uniqueKey(ctx context.Context, object string) (bool, error) {
	if unique, known := p.keys.get(object); known {
		return unique, nil
	}
	var def definition
	name := keyProperty(object)
	op := object + " property read"
	f, err := p.do(ctx, request{op: op, method: http.MethodGet, path: p.paths.properties + object + "/" + name}, &def)
	var e *crm.Error
	switch missing := errors.As(err, &e) && e.Status == http.StatusNotFound; {
	case missing && f.Category == "" && f.CorrelationID == "":
		e.Kind, e.Hint = crm.Transient, "the address in base_url does not answer like HubSpot"
	case missing || err == nil && def.Archived:
		p.account.lacks(object)
		return false, lacksKey(op, object)
	}
	if err != nil {
		return false, err
	}
	p.keys.set(object, def.Unique)
	return def.Unique, nil
}

// lacksKey says that an object type has no key property. Only where [Portal.Ready]
// asks for it does that stop the whole destination.
func lacksKey(op, object string) *crm.Error {
	e := &crm.Error{
		Op: op, Property: keyProperty(object),
		Message: fmt.Sprintf("the property %s does not exist on %s", keyProperty(object), object),
	}
	e.Kind, e.Hint = lackOfKey(object)
	return e
}

func lackOfKey(object string) (kind crm.ErrorKind, hint string) {
	if slices.Contains(keyed, object) {
		return crm.NotReady, "run `callsync setup`"
	}
	return crm.Permanent, "run `callsync setup`, then `callsync resync --state failed`"
}

// Locate finds records by callsync's key: directly where the key is unique, and
// otherwise through the search index, which may not show a new record yet.
func (p *Portal) Locate(ctx context.Context, keys []crm.KeyRef) ([]crm.Location, error) {
	now := p.now() // before the searches: they may not show more than this
	mark := p.account.mark()
	values := map[string][]string{}
	for _, k := range keys {
		values[k.Object] = append(values[k.Object], k.Key)
	}
	found := map[string]map[string]record{}
	unique := map[string]bool{}
	for object, list := range values {
		u, err := p.uniqueKey(ctx, object)
		if err != nil {
			return nil, p.believe(ctx, mark, err)
		}
		unique[object] = u
		if found[object], err = p.byKey(ctx, object, u, list); err != nil {
			return nil, p.believe(ctx, mark, err)
		}
	}
	locations := make([]crm.Location, len(keys))
	for i, k := range keys {
		if o, ok := found[k.Object][k.Key]; ok && !slices.Contains(k.Not, string(o.ID)) {
			locations[i] = crm.Location{State: crm.Found, ID: string(o.ID)}
		} else if wait := k.Since.Add(p.lag).Sub(now); !unique[k.Object] && !k.Since.IsZero() && wait > 0 {
			locations[i] = crm.Location{State: crm.Unknown, RetryAfter: wait}
		}
	}
	return locations, nil
}

func (p *Portal) byKey(ctx context.Context, object string, unique bool, keys []string) (map[string]record, error) {
	property := keyProperty(object)
	if !unique {
		return p.searchKeys(ctx, object, property, keys)
	}
	records, err := p.batchRead(ctx, object, property, keys, []string{property})
	if err != nil {
		return nil, err
	}
	return byValue(records, property), nil
}
