package hubspot

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/callsync/callsync/crm"
)

const (
	// directoryAge is how long a list is used before it is read again.
	directoryAge = time.Hour
	// missAge is how soon a list is read again for a name it does not have.
	missAge = time.Minute
	// ownersPage is the most the owners endpoint returns (owners guide).
	ownersPage = "500"
)

// A directory is a list of names and ids, such as a portal's owners, read when
// it is needed and again when a name is missing. Names are compared without
// regard to case.
type directory struct {
	now  func() time.Time
	load func(context.Context) (map[string]string, error)
	from func() string // the account in use

	lock lock
	of   string // the account that the list is of
	read time.Time
	ids  map[string]string
}

func newDirectory(p *Portal, load func(context.Context) (map[string]string, error)) *directory {
	return &directory{now: p.now, load: load, from: p.account.name, lock: newLock()}
}

// find returns the ids of those names that the list has.
func (d *directory) find(ctx context.Context, names []string) (map[string]string, error) {
	if err := d.lock.acquire(ctx); err != nil {
		return nil, unsent("lookup", err)
	}
	defer d.lock.release()
	found, complete := d.known(names)
	age := d.now().Sub(d.read)
	if d.ids != nil && d.of == d.from() && age < directoryAge && (complete || age < missAge) {
		return found, nil
	}
	ids, err := d.load(ctx)
	if err != nil {
		return nil, err
	}
	d.ids, d.read, d.of = ids, d.now(), d.from()
	found, _ = d.known(names)
	return found, nil
}

func (d *directory) known(names []string) (found map[string]string, complete bool) {
	found = map[string]string{}
	for _, n := range names {
		if id, ok := d.ids[fold(n)]; ok {
			found[n] = id
		}
	}
	return found, len(found) == len(names)
}

func fold(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// Resolve looks up owners by email and call dispositions by label.
func (p *Portal) Resolve(ctx context.Context, lookups []crm.Value) (map[crm.Value]string, error) {
	answer := map[crm.Value]string{}
	for of, d := range map[string]*directory{"owner": p.owners, "disposition": p.dispositions} {
		var names []string
		for _, v := range lookups {
			if v.Kind == crm.Lookup && v.Of == of && !slices.Contains(names, v.Text) {
				names = append(names, v.Text)
			}
		}
		if len(names) == 0 {
			continue
		}
		found, err := d.find(ctx, names)
		if err != nil {
			return nil, err
		}
		for name, id := range found {
			answer[crm.LookupOf(of, name)] = id
		}
	}
	return answer, nil
}

// listOwners reads the portal's active owners by email.
func (p *Portal) listOwners(ctx context.Context) (map[string]string, error) {
	ids := map[string]string{}
	query := url.Values{"limit": {ownersPage}, "archived": {"false"}}
	for {
		var page struct {
			Results []struct {
				ID       text   `json:"id"`
				Email    string `json:"email"`
				Archived bool   `json:"archived"`
			} `json:"results"`
			Paging struct {
				Next struct {
					After text `json:"after"`
				} `json:"next"`
			} `json:"paging"`
		}
		if _, err := p.do(ctx, request{op: "owners list", method: http.MethodGet, path: p.paths.owners, query: query}, &page); err != nil {
			return nil, err
		}
		for _, o := range page.Results {
			if !o.Archived && o.Email != "" {
				ids[fold(o.Email)] = string(o.ID)
			}
		}
		after := string(page.Paging.Next.After)
		if after == "" {
			return ids, nil
		}
		query = url.Values{"limit": {ownersPage}, "archived": {"false"}, "after": {after}}
	}
}

// defaultDispositions are those every portal starts with (calls API guide).
var defaultDispositions = map[string]string{
	"busy":              "9d9162e7-6cf3-4944-bf63-4dff82258764",
	"connected":         "f240bbac-87c9-4f6e-bf70-924b57d47db7",
	"left live message": "a4c4c377-d246-4b32-a13b-75a56a4cd0ff",
	"left voicemail":    "b2cf5968-551e-4856-9783-52b3da59a7d0",
	"no answer":         "73a0d17f-1163-4015-bdd5-ec830791da20",
	"wrong number":      "17b47fee-58de-441e-a44c-c6300d46f273",
}

// listDispositions reads the portal's call dispositions by label. Where the
// endpoint is out of reach for this app, HubSpot's defaults stand in.
func (p *Portal) listDispositions(ctx context.Context) (map[string]string, error) {
	var list []struct {
		ID      string `json:"id"`
		Label   string `json:"label"`
		Deleted bool   `json:"deleted"`
	}
	_, err := p.do(ctx, request{op: "dispositions list", method: http.MethodGet, path: "/calling/v1/dispositions"}, &list)
	var e *crm.Error
	if errors.As(err, &e) && (e.Status == http.StatusForbidden || e.Status == http.StatusNotFound) {
		return maps.Clone(defaultDispositions), nil
	}
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, d := range list {
		if !d.Deleted {
			ids[fold(d.Label)] = d.ID
		}
	}
	return ids, nil
}
