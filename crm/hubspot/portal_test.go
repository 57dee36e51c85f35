package hubspot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/callsync/callsync/crm"
	_ "github.com/callsync/callsync/crm/hubspot"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

// An account is the connector with a simulated HubSpot behind real HTTP.
type account struct {
	crm.Destination
	t      *testing.T
	sim    *hubspotsim.Server
	memory *memory
	now    *clock
}

// open starts a simulated portal without limits in the way, set up for callsync.
func open(t *testing.T, change ...func(*hubspotsim.Options, *crm.Settings)) *account {
	t.Helper()
	p := openBare(t, change...)
	p.setUp()
	p.sim.ResetCounters()
	return p
}

// openBare is open without callsync's properties.
func openBare(t *testing.T, change ...func(*hubspotsim.Options, *crm.Settings)) *account {
	t.Helper()
	p := &account{t: t, memory: &memory{}, now: newClock()}
	settings := hubspotsim.DefaultSettings()
	settings.TenSecondLimit, settings.SearchesPerSecond = 0, 0
	options := hubspotsim.Options{Now: p.now.Now, Settings: settings}
	s := crm.Settings{
		Name: "hubspot", Type: "hubspot", AccessToken: hubspotsim.DefaultToken, Memory: p.memory, Now: p.now.Now,
		RatePerSecond: 1e6, SearchPerSecond: 1e6, Region: "US",
	}
	for _, f := range change {
		f(&options, &s)
	}
	p.sim = hubspotsim.New(options)
	srv := httptest.NewServer(p.sim)
	t.Cleanup(srv.Close)
	t.Cleanup(p.sim.ClearFaults)
	if s.BaseURL == "" {
		s.BaseURL = srv.URL
	}
	var err error
	if p.Destination, err = crm.Open(s); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *account) inspector() crm.Inspector { return p.Destination.(crm.Inspector) }

func (p *account) setUp() {
	p.t.Helper()
	steps, err := p.inspector().SetupPlan(p.t.Context(), nil)
	if err == nil {
		err = p.inspector().Setup(p.t.Context(), steps)
	}
	if err == nil {
		err = p.Ready(p.t.Context())
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// write sends changes and fails the test when any is refused.
func (p *account) write(changes ...crm.Change) []string {
	p.t.Helper()
	var ids []string
	for i, r := range p.Write(p.t.Context(), changes) {
		if r.Err != nil {
			p.t.Fatalf("change %d: %v", i, r.Err)
		}
		ids = append(ids, r.ID)
	}
	return ids
}

// props reads a record's properties from the simulator, by its plain API.
func (p *account) props(object, id string, names ...string) map[string]string {
	p.t.Helper()
	var o struct {
		Properties map[string]string `json:"properties"`
	}
	p.raw("GET", "/crm/v3/objects/"+object+"/"+id+"?properties="+strings.Join(names, ","), "", &o)
	return o.Properties
}

// raw sends a request past the connector.
func (p *account) raw(method, path, body string, out any) int {
	p.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+hubspotsim.DefaultToken)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	p.sim.ServeHTTP(w, r)
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			p.t.Fatalf("%s %s: %v: %s", method, path, err, w.Body)
		}
	}
	return w.Code
}

// make creates a record past the connector.
func (p *account) make(object string, properties map[string]string) string {
	p.t.Helper()
	body, _ := json.Marshal(map[string]any{"properties": properties})
	var o struct {
		ID string `json:"id"`
	}
	if status := p.raw("POST", "/crm/v3/objects/"+object, string(body), &o); status != http.StatusCreated {
		p.t.Fatalf("create %s: %d", object, status)
	}
	return o.ID
}

// requests returns how many requests reached HubSpot since the last reset, by
// operation, as "calls batch create=1 …".
func (p *account) requests() string {
	var parts []string
	for _, r := range p.sim.Requests() {
		parts = append(parts, r.Operation)
	}
	return strings.Join(parts, ", ")
}

func contact(key, email string) crm.Change {
	ch := crm.Change{Op: crm.Create, Object: "contacts", Key: key, Properties: map[string]crm.Value{"firstname": crm.Str("Ann")}}
	if email != "" {
		ch.Properties["email"] = crm.Str(email)
	}
	return ch
}

func call(n int, person string) crm.Change {
	ch := crm.Change{
		Op: crm.Create, Object: "calls", Key: fmt.Sprintf("call.%d#call", n),
		Properties: map[string]crm.Value{"hs_timestamp": crm.Time(start), "hs_call_title": crm.Str(fmt.Sprintf("Call %d", n))},
	}
	if person != "" {
		ch.Link = []crm.Ref{{Object: "contacts", ID: person}}
	}
	return ch
}

// memory is a crm.Memory.
type memory struct {
	mu sync.Mutex
	m  map[string]string
}

func (m *memory) Get(_ context.Context, name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.m[name], nil
}

func (m *memory) Set(_ context.Context, name, value string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m == nil {
		m.m = map[string]string{}
	}
	m.m[name] = value
	return nil
}
