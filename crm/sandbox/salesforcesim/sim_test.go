package salesforcesim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

// A clock stands still until it is told to move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// An org is a sandbox with a session, spoken to over HTTP.
type org struct {
	t      testing.TB
	sim    *salesforcesim.Server
	url    string
	token  string
	clock  *clock
	header http.Header // added to every request
}

func newOrg(t testing.TB, set ...func(*salesforcesim.Settings)) *org {
	t.Helper()
	return newOrgWith(t, salesforcesim.Options{}, set...)
}

func newOrgWith(t testing.TB, opts salesforcesim.Options, set ...func(*salesforcesim.Settings)) *org {
	t.Helper()
	o := &org{t: t, clock: &clock{now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)}, header: http.Header{}}
	opts.Now = o.clock.Now
	o.sim = salesforcesim.New(opts)
	for _, f := range set {
		o.sim.Configure(f)
	}
	srv := httptest.NewServer(o.sim)
	t.Cleanup(srv.Close)
	o.url = srv.URL
	o.token = o.login()
	return o
}

func (o *org) login() string {
	o.t.Helper()
	status, body := o.form("/services/oauth2/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"sandbox-client"}, "client_secret": {"sandbox-secret"},
	})
	if status != 200 {
		o.t.Fatalf("login: %d %v", status, body)
	}
	return body["access_token"].(string)
}

func (o *org) form(path string, v url.Values) (int, map[string]any) {
	o.t.Helper()
	resp, err := http.PostForm(o.url+path, v)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	var body map[string]any
	b, _ := io.ReadAll(resp.Body)
	_ = json.Unmarshal(b, &body) // some answers have no body
	return resp.StatusCode, body
}

// An answer is a response with its body decoded.
type answer struct {
	status int
	header http.Header
	raw    string
	body   any
}

// do sends one request; path is below the version unless it begins with "/".
func (o *org) do(method, path string, body any) answer {
	o.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		enc, err := json.Marshal(b)
		if err != nil {
			o.t.Fatal(err)
		}
		r = bytes.NewReader(enc)
	}
	if !strings.HasPrefix(path, "/") {
		path = "/services/data/v66.0/" + path
	}
	req, err := http.NewRequest(method, o.url+path, r)
	if err != nil {
		o.t.Fatal(err)
	}
	for k, v := range o.header {
		req.Header[k] = v
	}
	req.Header.Set("Authorization", "Bearer "+o.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	if len(raw) > 0 && strings.Contains(resp.Header.Get("Content-Type"), "json") {
		if err := json.Unmarshal(raw, &a.body); err != nil {
			o.t.Fatalf("%s %s: %v in %s", method, path, err, raw)
		}
	}
	return a
}

// ok is do that must succeed.
func (o *org) ok(method, path string, body any) answer {
	o.t.Helper()
	a := o.do(method, path, body)
	if a.status >= 300 {
		o.t.Fatalf("%s %s: %d %s", method, path, a.status, a.raw)
	}
	return a
}

// refused is do that must fail with a status and an errorCode.
func (o *org) refused(status int, code, method, path string, body any) answer {
	o.t.Helper()
	a := o.do(method, path, body)
	if a.status != status || a.code() != code {
		o.t.Fatalf("%s %s: got %d %s; want %d %s", method, path, a.status, a.raw, status, code)
	}
	return a
}

// code is the errorCode of a refusal.
func (a answer) code() string {
	list, _ := a.body.([]any)
	if len(list) == 0 {
		return ""
	}
	m, _ := list[0].(map[string]any)
	s, _ := m["errorCode"].(string)
	return s
}

// at walks into the body: names for objects, ints for arrays.
func (a answer) at(path ...any) any { return at(a.body, path...) }

func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func (o *org) create(object string, fields map[string]any) string {
	o.t.Helper()
	return o.ok("POST", "sobjects/"+object, fields).at("id").(string)
}

func (o *org) contact(last string) string {
	o.t.Helper()
	return o.create("Contact", map[string]any{"LastName": last})
}

// get reads a record's fields.
func (o *org) get(object, id string) map[string]any {
	o.t.Helper()
	return o.ok("GET", "sobjects/"+object+"/"+id, nil).body.(map[string]any)
}

// soql returns the ids, or the values of one column, of a query.
func (o *org) soql(q, column string) []string {
	o.t.Helper()
	return columnOf(o.ok("GET", "query?q="+url.QueryEscape(q), nil).at("records"), column)
}

func (o *org) sosl(q string) []string {
	o.t.Helper()
	return columnOf(o.ok("GET", "search?q="+url.QueryEscape(q), nil).at("searchRecords"), "Id")
}

func columnOf(records any, path string) []string {
	out := []string{}
	list, _ := records.([]any)
	for _, r := range list {
		for _, p := range strings.Split(path, ".") {
			r = at(r, p)
		}
		out = append(out, fmt.Sprint(r))
	}
	return out
}

// customField creates a field and grants it to the integration user.
func (o *org) customField(fullName string, metadata map[string]any) {
	o.t.Helper()
	o.ok("POST", "tooling/sobjects/CustomField", map[string]any{"FullName": fullName, "Metadata": metadata})
	o.grant(fullName)
}

// grant gives the integration user a permission set with the field.
func (o *org) grant(fullName string) {
	o.t.Helper()
	parent, name, _ := strings.Cut(fullName, ".")
	objects := []string{parent}
	if parent == "Activity" {
		objects = []string{"Task", "Event"}
	}
	sets := o.soql("SELECT Id FROM PermissionSet WHERE Name = 'callsync'", "Id")
	if len(sets) == 0 {
		sets = []string{o.create("PermissionSet", map[string]any{"Name": "callsync", "Label": "callsync"})}
		o.create("PermissionSetAssignment", map[string]any{"PermissionSetId": sets[0], "AssigneeId": o.sim.UserID()})
	}
	for _, object := range objects {
		o.create("FieldPermissions", map[string]any{
			"ParentId": sets[0], "SobjectType": object, "Field": object + "." + name,
			"PermissionsRead": true, "PermissionsEdit": true,
		})
	}
}

// keyField is a unique external id of 255 characters.
func keyField(label string) map[string]any {
	return map[string]any{"label": label, "type": "Text", "length": 255, "unique": true, "externalId": true}
}

func records(object string, list ...map[string]any) []map[string]any {
	for _, r := range list {
		r["attributes"] = map[string]any{"type": object}
	}
	return list
}
