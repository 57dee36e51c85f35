package hubspotsim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

// portal is a simulator behind a real HTTP server, on a clock that only the
// test moves.
type portal struct {
	*hubspotsim.Server
	t     *testing.T
	url   string
	token string
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

var start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func newPortal(t *testing.T, opts ...func(*hubspotsim.Options)) *portal {
	t.Helper()
	o := hubspotsim.Options{Now: (&clock{at: start}).now}
	for _, f := range opts {
		f(&o)
	}
	p := &portal{Server: hubspotsim.New(o), t: t, token: hubspotsim.DefaultToken}
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	t.Cleanup(p.ClearFaults)
	p.url = srv.URL
	return p
}

type answer struct {
	t      *testing.T
	status int
	header http.Header
	raw    []byte
	body   map[string]any
}

// do sends body, a JSON text or a value to encode, and reads the answer.
func (p *portal) do(method, path string, body any) *answer {
	p.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			p.t.Fatal(err)
		}
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, p.url+path, r)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	if r != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	a := &answer{t: p.t, status: resp.StatusCode, header: resp.Header}
	if a.raw, err = io.ReadAll(resp.Body); err != nil {
		p.t.Fatal(err)
	}
	if len(a.raw) > 0 && a.raw[0] == '{' {
		if err := json.Unmarshal(a.raw, &a.body); err != nil {
			p.t.Fatalf("%s %s: %v in %s", method, path, err, a.raw)
		}
	}
	return a
}

// is checks the status.
func (a *answer) is(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.raw)
	}
	return a
}

// says checks that the answer's body holds each text.
func (a *answer) says(texts ...string) *answer {
	a.t.Helper()
	for _, text := range texts {
		if !bytes.Contains(a.raw, []byte(text)) {
			a.t.Fatalf("answer lacks %q: %s", text, a.raw)
		}
	}
	return a
}

func (a *answer) id() string {
	a.t.Helper()
	id, _ := a.body["id"].(string)
	if id == "" {
		a.t.Fatalf("answer has no id: %s", a.raw)
	}
	return id
}

// at walks into the answer: at("results", 0, "id").
func (a *answer) at(path ...any) any {
	a.t.Helper()
	var v any = a.body
	for _, step := range path {
		switch s := step.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				a.t.Fatalf("no %v in %s", path, a.raw)
			}
			v = m[s]
		case int:
			l, ok := v.([]any)
			if !ok || len(l) <= s {
				a.t.Fatalf("no %v in %s", path, a.raw)
			}
			v = l[s]
		}
	}
	return v
}

// ids returns the results' ids, sorted by none but the answer.
func (a *answer) ids() []string {
	a.t.Helper()
	list := []string{}
	for _, r := range a.body["results"].([]any) {
		list = append(list, r.(map[string]any)["id"].(string))
	}
	return list
}

type props map[string]string

func (p *portal) create(object string, values props) string {
	p.t.Helper()
	return p.do("POST", "/crm/v3/objects/"+object, map[string]any{"properties": values}).is(201).id()
}

func (p *portal) contact(email string) string {
	p.t.Helper()
	return p.create("contacts", props{"email": email})
}

// indexAll lets everything written so far reach search.
func (p *portal) indexAll() { p.Advance(time.Minute) }

func (p *portal) search(object, body string) *answer {
	p.t.Helper()
	return p.do("POST", "/crm/v3/objects/"+object+"/search", body)
}
