package salesforce

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/callsync/callsync/crm"
)

// describeLife is how long a description is trusted.
const describeLife = time.Hour

// missLife is how soon a description that does not suit is fetched again.
const missLife = time.Minute

// A field is one field as describe shows it to callsync's user: a field that
// field-level security hides is not there at all.
type field struct {
	Name               string   `json:"name"`
	Label              string   `json:"label"`
	Type               string   `json:"type"`
	Length             int      `json:"length"`
	Createable         bool     `json:"createable"`
	Updateable         bool     `json:"updateable"`
	Nillable           bool     `json:"nillable"`
	Filterable         bool     `json:"filterable"`
	DefaultedOnCreate  bool     `json:"defaultedOnCreate"`
	RestrictedPicklist bool     `json:"restrictedPicklist"`
	ExternalID         bool     `json:"externalId"`
	IDLookup           bool     `json:"idLookup"`
	Unique             bool     `json:"unique"`
	ReferenceTo        []string `json:"referenceTo"`
	PicklistValues     []struct {
		Value  string `json:"value"`
		Label  string `json:"label"`
		Active bool   `json:"active"`
	} `json:"picklistValues"`
}

// A description holds an object's fields by the name a mapping uses, which for
// everything but Person Accounts is the field's own.
type description struct {
	object string // as a mapping names it
	table  string // as the API names it
	fields map[string]field
	absent bool // the org has no such object
	at     time.Time
}

// columns returns the API names of those of the given fields that exist.
func (d *description) columns(names ...string) []string {
	var out []string
	for _, n := range names {
		if f, ok := d.fields[n]; ok && !slices.Contains(out, f.Name) {
			out = append(out, f.Name)
		}
	}
	return out
}

// phones returns the fields that hold a person's phone numbers, in order. Fax
// numbers are nobody to call.
func (d *description) phones() []field {
	var out []field
	for _, name := range slices.Sorted(maps.Keys(d.fields)) {
		if f := d.fields[name]; f.Type == "phone" && !strings.Contains(strings.ToLower(f.Name), "fax") {
			out = append(out, f)
		}
	}
	return out
}

// A catalog caches descriptions. It is safe for concurrent use.
type catalog struct {
	client *client
	now    func() time.Time

	flight singleflight.Group
	mu     sync.Mutex
	known  map[string]*description
}

func newCatalog(c *client, now func() time.Time) *catalog {
	return &catalog{client: c, now: now, known: map[string]*description{}}
}

// get returns an object's description. While it does not suit the caller, one
// older than missLife is fetched again, so that what an administrator has just
// added or allowed is seen; a nil suits is suited by any.
func (c *catalog) get(ctx context.Context, object string, suits func(*description) bool) (*description, error) {
	c.mu.Lock()
	d := c.known[object]
	c.mu.Unlock()
	if d != nil {
		age := c.now().Sub(d.at)
		if age < missLife || age < describeLife && (d.absent || suits == nil || suits(d)) {
			return d.checked()
		}
	}
	return c.fetch(ctx, object)
}

// has suits a description with a field that can be written when a record is
// created.
func has(name string) func(*description) bool {
	return func(d *description) bool { return d.fields[name].Createable }
}

// fetch describes an object afresh.
func (c *catalog) fetch(ctx context.Context, object string) (*description, error) {
	r := c.flight.DoChan(object, func() (any, error) {
		return c.describe(context.WithoutCancel(ctx), object)
	})
	select {
	case <-ctx.Done():
		return nil, unreachable("describe "+object, ctx.Err())
	case got := <-r:
		if got.Err != nil {
			return nil, got.Err
		}
		return got.Val.(*description).checked()
	}
}

func (d *description) checked() (*description, error) {
	if d.absent {
		return nil, noObject(d.object)
	}
	return d, nil
}

func (c *catalog) describe(ctx context.Context, object string) (*description, error) {
	d := &description{object: object, table: tableOf(object), fields: map[string]field{}, at: c.now()}
	if !validName(d.table) {
		return nil, noObject(object)
	}
	var body struct {
		Fields []field `json:"fields"`
	}
	err := c.client.get(ctx, "describe "+object, c.client.data("sobjects/"+d.table+"/describe"), &body)
	var e *crm.Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound && e.Code != "" {
		d.absent = true
	} else if err != nil {
		return nil, err
	}
	for _, f := range body.Fields {
		d.fields[f.Name] = f
	}
	if object == personAccount {
		_, enabled := d.fields["IsPersonAccount"]
		d.absent = !enabled
		d.addPersonNames()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[object] = d
	return d, nil
}

// forget drops all descriptions.
func (c *catalog) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.known)
}

// addPersonNames lets a mapping written for contacts serve Person Accounts:
// Account carries a contact's Email as PersonEmail and its x__c as x__pc.
func (d *description) addPersonNames() {
	for _, name := range slices.Sorted(maps.Keys(d.fields)) {
		f := d.fields[name]
		if bare, ok := strings.CutPrefix(name, "Person"); ok && bare != "" {
			d.fields[bare] = f
		}
		if bare, ok := strings.CutSuffix(name, personSuffix); ok {
			d.fields[bare+"__c"] = f
		}
	}
}

func noObject(object string) error {
	return &crm.Error{
		Kind: crm.Permanent, Op: "describe " + object, Status: http.StatusNotFound, Code: "NOT_FOUND",
		Message: fmt.Sprintf("the org has no object %s, or callsync's user may not see it", object),
		Hint:    "correct the object in the mapping, or give callsync's user access to it",
	}
}

// isAbsent reports whether err says that the org lacks an object.
func isAbsent(err error) bool {
	var e *crm.Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound && e.Code != ""
}

// validName reports whether s may stand in a path or a statement as the name of
// an object or a field.
func validName(s string) bool {
	if s == "" || !(s[0] >= 'A' && s[0] <= 'Z' || s[0] >= 'a' && s[0] <= 'z') {
		return false
	}
	return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
