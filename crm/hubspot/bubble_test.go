package hubspot_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

// inMemory carries requests to a handler without a network, so that time can be
// testing/synctest's.
type inMemory struct {
	handler http.Handler
	latency time.Duration
}

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-time.After(m.latency):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	m.handler.ServeHTTP(w, r)
	return w.Result(), r.Context().Err()
}

// openBubble starts a portal inside a synctest bubble, with a Professional
// portal's limits and callsync's defaults.
func openBubble(t *testing.T, change ...func(*hubspotsim.Options, *crm.Settings)) *account {
	t.Helper()
	p := &account{t: t, memory: &memory{}}
	options := hubspotsim.Options{Settings: hubspotsim.DefaultSettings()}
	s := crm.Settings{Name: "hubspot", Type: "hubspot", BaseURL: "https://api.example", AccessToken: hubspotsim.DefaultToken, Memory: p.memory, Region: "US"}
	for _, f := range change {
		f(&options, &s)
	}
	p.sim = hubspotsim.New(options)
	if s.Transport == nil {
		s.Transport = inMemory{p.sim, 50 * time.Millisecond}
	}
	var err error
	if p.Destination, err = crm.Open(s); err != nil {
		t.Fatal(err)
	}
	return p
}

// statuses counts the answers by HTTP status.
func (p *account) statuses() map[int]int {
	all := map[int]int{}
	for _, n := range p.sim.Counts() {
		for status, count := range n.Statuses {
			all[status] += count
		}
	}
	return all
}

// tokens is a crm.TokenStore. Its fields are for while no request is under way.
type tokens struct {
	mu    sync.Mutex
	token *oauth2.Token
	saved int
}

func (s *tokens) Load() (*oauth2.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token, nil
}

func (s *tokens) Save(t *oauth2.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = t
	s.saved++
	return nil
}
