package salesforce_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	_ "github.com/callsync/callsync/crm/salesforce"
	"github.com/callsync/callsync/crm/sandbox"
	"github.com/callsync/callsync/crm/sandbox/salesforcesim"
)

var privateKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func pemOf(k *rsa.PrivateKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)})
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

type salesforceSettings = salesforcesim.Settings

type salesforceFault = sandbox.Fault

// A world is a sandboxed org and a connector to it.
type world struct {
	t        testing.TB
	sim      *salesforcesim.Server
	url      string
	settings crm.Settings
	dest     crm.Destination
	memory   *memory
}

// newWorld opens a connector to a new org, without callsync's fields.
func newWorld(t testing.TB, change ...func(*salesforcesim.Settings)) *world {
	t.Helper()
	sim := salesforcesim.New(salesforcesim.Options{PublicKey: &privateKey().PublicKey})
	for _, f := range change {
		sim.Configure(f)
	}
	srv := httptest.NewServer(sim)
	t.Cleanup(srv.Close)
	w := &world{t: t, sim: sim, url: srv.URL, memory: &memory{}}
	w.settings = crm.Settings{
		Name: "salesforce", Type: "salesforce", LoginURL: srv.URL, Region: "US",
		OAuth:  crm.OAuth{ClientID: "sandbox-client", Username: "integration@example.com", PrivateKey: pemOf(privateKey())},
		Memory: w.memory, Now: sim.Now,
	}
	w.dest = w.open(nil)
	return w
}

// ready is newWorld after callsync setup.
func ready(t testing.TB, change ...func(*salesforcesim.Settings)) *world {
	t.Helper()
	w := newWorld(t, change...)
	w.setup()
	w.sim.ResetCounters()
	return w
}

func (w *world) open(change func(*crm.Settings)) crm.Destination {
	w.t.Helper()
	s := w.settings
	if change != nil {
		change(&s)
	}
	d, err := crm.Open(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) inspector() crm.Inspector { return w.dest.(crm.Inspector) }

func (w *world) setup(declared ...crm.Property) {
	w.t.Helper()
	steps, err := w.inspector().SetupPlan(w.ctx(), declared)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.inspector().Setup(w.ctx(), steps); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) ctx() context.Context { return w.t.Context() }

// rest sends a request as another client of the org would.
func (w *world) rest(method, path string, body any) map[string]any {
	w.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"sandbox-client"}, "client_secret": {"sandbox-secret"}}
	resp, err := http.PostForm(w.url+"/services/oauth2/token", form)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&token); err != nil {
		w.t.Fatal(err)
	}
	data, _ := json.Marshal(body)
	req, _ := http.NewRequest(method, w.url+"/services/data/v66.0/"+path, bytes.NewReader(data))
	req.Header.Set("Authorization", "Bearer "+token.AccessToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err = http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if resp.StatusCode > 299 {
		w.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, answer)
	}
	out := map[string]any{}
	_ = json.Unmarshal(answer, &out)
	return out
}

// add creates a record and returns its id.
func (w *world) add(object string, fields map[string]any) string {
	w.t.Helper()
	id, _ := w.rest("POST", "sobjects/"+object+"/", fields)["id"].(string)
	return id
}

func (w *world) remove(object, id string) { w.rest("DELETE", "sobjects/"+object+"/"+id, nil) }

// caughtUp lets the search index catch up.
func (w *world) caughtUp() { w.sim.Advance(6 * time.Second) }

// record returns a record as the org holds it.
func (w *world) record(id string) salesforcesim.Record {
	w.t.Helper()
	for _, object := range []string{"Task", "Event", "Contact", "Lead", "Account"} {
		for _, r := range w.sim.Records(object) {
			if r.ID == id {
				return r
			}
		}
	}
	w.t.Fatalf("no record %s", id)
	return salesforcesim.Record{}
}

// requests counts what the connector sent since the last reset, but for tokens.
func (w *world) requests() int {
	n := 0
	for op, c := range w.sim.Counts() {
		if op != "token" {
			n += c.Requests
		}
	}
	return n
}

func (w *world) count(op string) int { return w.sim.Counts()[op].Requests }

func (w *world) find(q ...crm.PersonQuery) [][]crm.Candidate {
	w.t.Helper()
	got, err := w.dest.FindPeople(w.ctx(), q)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(got) != len(q) {
		w.t.Fatalf("%d answers to %d queries", len(got), len(q))
	}
	return got
}

func (w *world) write(changes ...crm.Change) []crm.Result {
	w.t.Helper()
	got := w.dest.Write(w.ctx(), changes)
	if len(got) != len(changes) {
		w.t.Fatalf("%d results of %d changes", len(got), len(changes))
	}
	return got
}

// must fails the test on the first error among results.
func (w *world) must(results []crm.Result) []crm.Result {
	w.t.Helper()
	for i, r := range results {
		if r.Err != nil {
			w.t.Fatalf("change %d: %v", i, r.Err)
		}
	}
	return results
}

var people = []string{"Contact", "Lead"}

func byEmail(v string) crm.PersonQuery {
	return crm.PersonQuery{Objects: people, Match: []crm.Match{{Rule: 1, Property: "Email", Value: v, Kind: crm.MatchEmail}}}
}

func byPhone(v string) crm.PersonQuery {
	return crm.PersonQuery{Objects: people, Match: []crm.Match{{Rule: 2, Property: "Phone", Value: v, Kind: crm.MatchPhone}}}
}

func byID(v string) crm.PersonQuery {
	return crm.PersonQuery{Objects: people, Match: []crm.Match{{Rule: 0, Value: v, Kind: crm.MatchID}}}
}

func ids(candidates []crm.Candidate) string {
	var out []string
	for _, c := range candidates {
		out = append(out, c.ID)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func props(kv map[string]any) map[string]crm.Value {
	out := map[string]crm.Value{}
	for k, v := range kv {
		switch v := v.(type) {
		case string:
			out[k] = crm.Str(v)
		case int:
			out[k] = crm.Int(int64(v))
		case bool:
			out[k] = crm.Boolean(v)
		case crm.Value:
			out[k] = v
		case nil:
			out[k] = crm.Value{}
		}
	}
	return out
}

func newTask(key string, more map[string]any, link ...crm.Ref) crm.Change {
	fields := map[string]any{"Subject": "Call", "Status": "Completed", "TaskSubtype": "Call"}
	maps.Copy(fields, more)
	return crm.Change{Op: crm.Create, Object: "Task", Key: key, Properties: props(fields), Link: link}
}

func asError(t *testing.T, err error) *crm.Error {
	t.Helper()
	e, ok := err.(*crm.Error)
	if !ok {
		t.Fatalf("error is %T (%v), want *crm.Error", err, err)
	}
	return e
}
