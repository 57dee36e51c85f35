package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/callsync/callsync/crm/sandbox"
)

// A simulator is an emulated CRM, whichever it is.
type simulator interface {
	http.Handler
	AddFault(sandbox.Fault) (string, error)
	RemoveFault(id string) bool
	ClearFaults()
	Advance(time.Duration)
	Total() int
	Counts() map[string]sandbox.Count
	ChangeSettings(patch []byte) error
	Dump() any
}

// A kind is what the harness has to know about one CRM.
type kind struct {
	// new makes an account with settings that the seed decides.
	new func(r *rand.Rand, lag time.Duration) simulator
	// table is its part of the configuration.
	table func(a *account) string
	// preset creates a person, as a colleague would have long ago, and returns
	// the id.
	preset func(a *account, p person) (string, error)
	// join does what colleagues do with people who are there twice, ids of one
	// kind, or, if there is but one, what else may give somebody another id.
	join func(a *account, ids []string) error
	// logIn lets callsync in by OAuth in place of a key, where both are possible.
	logIn func(a *account) error
	// remove deletes a record, as somebody in the CRM may.
	remove func(a *account, object, id string) error
	// portray reads the state dump.
	portray func(a *account) *portrait
	// faults draws a disturbance that only this CRM knows.
	faults func(r *rand.Rand) disturbance
	// heal are the settings that undo every disturbance; tight are those of the
	// CRM's real limits on the rate of requests.
	healthy, tight string
	// writes and setup say what a request does, for traps.
	writes func(r *http.Request) bool
	// more and less are mapping lines that an edit adds below [contact.fields],
	// and the beginning of a line it takes away.
	more, less string
}

var kinds = map[string]kind{"hubspot": hubspotKind, "salesforce": salesforceKind}

func accountKinds(name string) ([]string, error) {
	if name == "both" {
		return []string{"hubspot", "salesforce"}, nil
	}
	if _, ok := kinds[name]; !ok {
		return nil, fmt.Errorf("-crm %s: use hubspot, salesforce or both", name)
	}
	return []string{name}, nil
}

// An account is one emulated CRM account, served over HTTP by this process, so
// that it outlives every callsync.
type account struct {
	kind
	name   string
	index  int
	world  *world
	sim    simulator
	server *httptest.Server
	lag    time.Duration
	slow   time.Duration // how long a request takes each way
	wrote  atomic.Int64  // requests that write
	// joins are what colleagues will do in the course of the script, joined
	// whom they did it to, by number.
	joins   []func() error
	joined  map[string]bool
	deleted deletions
	removed atomic.Int64 // activities deleted
	parted  partings
	seen    sightings
	// refresh is the OAuth refresh token callsync logs in with; "" where it has a
	// key.
	refresh string
}

// longLagOneIn: in one of so many accounts, searches lag for up to 30 seconds.
const longLagOneIn = 10

func newAccount(w *world, name string, index int, seed uint64) (*account, error) {
	r := rand.New(rand.NewPCG(seed, uint64(index)+77))
	a := &account{kind: kinds[name], name: name, index: index, world: w, joined: map[string]bool{}, seen: sightings{}}
	a.lag = []time.Duration{0, 50, 300, 1000, 3000}[r.IntN(5)] * time.Millisecond
	if r.IntN(longLagOneIn) == 0 {
		a.lag = time.Duration(10+r.IntN(21)) * time.Second
	}
	a.slow = []time.Duration{0, 0, 5, 30, 90}[r.IntN(5)] * time.Millisecond
	a.sim = a.new(r, a.lag)
	if r.IntN(6) == 0 && a.tight != "" {
		if err := a.sim.ChangeSettings([]byte(a.tight)); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a.server = &httptest.Server{Listener: l, Config: &http.Server{Handler: a}}
	a.server.Start()
	if a.logIn != nil && r.IntN(2) == 0 {
		if err := a.logIn(a); err != nil {
			a.close()
			return nil, err
		}
	}
	if err := a.populate(people(seed)); err != nil {
		a.close()
		return nil, err
	}
	a.sim.Advance(2 * time.Minute) // what was there has been indexed long ago
	return a, nil
}

// populate creates the people who are there already, some of them twice.
func (a *account) populate(everybody []person) error {
	for _, p := range everybody {
		var ids []string
		for range p.presets {
			id, err := a.preset(a, p)
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		if len(ids) > 0 && p.phone != "" {
			a.joins = append(a.joins, func() error {
				a.joined[digits(p.phone)] = true
				return a.join(a, ids)
			})
		}
	}
	return nil
}

// joinNext has colleagues clean up after one of the people. Faults strike them
// too; then they try again later.
func (a *account) joinNext() {
	if len(a.joins) == 0 {
		return
	}
	join := a.joins[0]
	a.joins = a.joins[1:]
	if join() != nil {
		a.joins = append(a.joins, join)
	}
}

// joinAll has them finish, waiting where the CRM's limit on the rate of requests
// makes them. Nobody is left to be joined where one of the two was deleted; the
// oracle sees who is still there twice.
func (a *account) joinAll(ctx context.Context) error {
	for _, join := range a.joins {
		for range 30 {
			if err := join(); err == nil || !strings.Contains(err.Error(), ": 429 ") {
				break
			}
			if err := pause(ctx, 500*time.Millisecond); err != nil {
				return err
			}
		}
	}
	a.joins = nil
	return nil
}

func (a *account) close() {
	a.sim.ClearFaults()
	a.server.CloseClientConnections()
	a.server.Close()
}

// ServeHTTP lets a trap that is set kill callsync just before the CRM sees a
// request, or between its commit and its answer.
func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.writes(r) && !strings.HasPrefix(r.URL.Path, sandbox.ControlPrefix) {
		a.wrote.Add(1)
	}
	p := a.world.current() // by the time of the commit another may run
	time.Sleep(a.slow)
	defer time.Sleep(a.slow)
	switch a.world.trap.spring(a, r) {
	case beforeCommit:
		a.world.end(p, syscall.SIGKILL)
		panic(http.ErrAbortHandler)
	case afterCommit:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		defer a.world.end(p, syscall.SIGKILL) // also when a fault resets the connection
		a.sim.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
		panic(http.ErrAbortHandler)
	default:
		a.sim.ServeHTTP(w, r)
	}
}

func (a *account) counts() (requests, struck int) {
	for _, n := range a.sim.Counts() {
		struck += n.Faults
	}
	return a.sim.Total(), struck
}

// heal ends everything that was done to the account.
func (a *account) heal() error {
	a.sim.ClearFaults()
	return a.sim.ChangeSettings([]byte(a.healthy))
}

// An edition is a state of the mapping file.
type edition int

const (
	shipped edition = iota
	more            // a field is added
	less            // a field is taken away
	broken          // half of the file, as an editor may leave it for a moment
	editions
)

func (e edition) String() string {
	return [...]string{"as shipped", "with a field more", "with a field less", "broken"}[e]
}

func (a *account) mapping() string { return filepath.Join(a.world.dir, a.name+".toml") }

// edit replaces the mapping file: by renaming for some editions, in place for
// others.
func (a *account) edit(e edition) error {
	source, err := os.ReadFile(filepath.Join(a.world.bin.root, "mappings", a.name+".toml"))
	if err != nil {
		return err
	}
	switch e {
	case more:
		source = bytes.Replace(source, []byte("[contact.fields]\n"), []byte("[contact.fields]\n"+a.more+"\n"), 1)
	case less:
		if i := bytes.Index(source, []byte("\n"+a.less)); i >= 0 {
			end := i + 1 + bytes.IndexByte(source[i+1:], '\n')
			source = append(source[:i:i], source[end:]...)
		}
	case broken:
		source = append(source[:len(source)/2:len(source)/2], "\n[[record"...)
	}
	if e == shipped || e == more {
		next := a.mapping() + ".next"
		if err := os.WriteFile(next, source, 0o600); err != nil {
			return err
		}
		return os.Rename(next, a.mapping())
	}
	return os.WriteFile(a.mapping(), source, 0o600)
}

// call sends one request to the CRM as somebody other than callsync.
func (a *account) call(method, path, token string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, a.server.URL+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s %s: %s: %s", a.name, method, path, resp.Status, text)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(text, out)
}

// A portrait is what a CRM holds, in terms of no CRM.
type portrait struct {
	people  []crmPerson
	records []crmRecord
}

type crmPerson struct {
	id, object   string
	phone, email string // phone: digits only
	doNotCall    bool
	named        bool
}

// who is how the oracle knows somebody: by number, else by email.
func (x crmPerson) who() string {
	if x.phone != "" {
		return x.phone
	}
	return x.email
}

// A crmRecord is a live activity.
type crmRecord struct {
	kind    string // "call", "meeting", "task"
	object  string
	id, key string
	title   string
	text    string
	start   time.Time // of meetings
	seconds int       // of calls
	who     []string  // people it is linked to
}
