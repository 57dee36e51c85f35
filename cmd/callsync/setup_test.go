package main

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/crm/sandbox/hubspotsim"
)

const notesMapping = `[contact]
object = "contacts"
match  = [{ property = "phone", value = "phoneNumber" }]
create = "true"

[[record]]
key    = "note"
object = "notes"
when   = "terminal"
[record.fields]
hs_timestamp = "received"
`

// With auto_setup an account that was ready gets what another mapping needs,
// once for each version of the mapping.
func TestAutoSetupFollowsTheMapping(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "hubspot.toml")
	write(t, file, strings.ReplaceAll(notesMapping, "notes", "calls"))
	l, _ := newLive(t, dir, file)
	sim := hubspotsim.New(hubspotsim.Options{Settings: hubspotsim.DefaultSettings()})
	srv := httptest.NewServer(sim)
	defer srv.Close()
	var log bytes.Buffer
	d := openPortal(t, srv.URL, hubspotsim.DefaultToken)
	a := &autoSetup{Destination: d, mapping: l, log: slog.New(slog.NewTextHandler(&log, nil))}
	has := func(object string) bool {
		t.Helper()
		s, err := d.(crm.Inspector).Schema(t.Context(), object)
		if err != nil {
			t.Fatal(err)
		}
		_, ok := s.Properties[crm.KeyProperty]
		return ok
	}

	if err := a.Ready(t.Context()); err != nil || !has("calls") || has("notes") {
		t.Fatalf("the first time: %v, calls %v, notes %v", err, has("calls"), has("notes"))
	}
	write(t, file, notesMapping)
	if changed, err := l.reload(t.Context()); err != nil || !changed {
		t.Fatal(changed, err)
	}
	if err := a.Ready(t.Context()); err != nil || !has("notes") {
		t.Fatalf("with a mapping that writes notes: %v, notes %v", err, has("notes"))
	}
	before := sim.Total()
	if err := a.Ready(t.Context()); err != nil || sim.Total() != before {
		t.Errorf("with nothing new: %v, %d requests", err, sim.Total()-before)
	}
}

// A token that may not create properties does not stop an account that is ready.
func TestAutoSetupWithoutPermission(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "hubspot.toml")
	write(t, file, notesMapping)
	l, _ := newLive(t, dir, file)
	sim := hubspotsim.New(hubspotsim.Options{Settings: hubspotsim.DefaultSettings(), Tokens: []hubspotsim.Token{
		{Value: "all"},
		{Value: "narrow", Scopes: []string{"crm.objects.contacts.read", "crm.objects.contacts.write", "crm.schemas.contacts.read"}},
	}})
	srv := httptest.NewServer(sim)
	defer srv.Close()
	first := openPortal(t, srv.URL, "all").(crm.Inspector)
	steps, err := first.SetupPlan(t.Context(), nil)
	if err == nil {
		err = first.Setup(t.Context(), steps)
	}
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	a := &autoSetup{Destination: openPortal(t, srv.URL, "narrow"), mapping: l, log: slog.New(slog.NewTextHandler(&log, nil))}
	for range 3 {
		if err := a.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "crm.schemas.contacts.write"); n != 1 {
		t.Errorf("warned %d times of the missing scope: %s", n, &log)
	}
}

func openPortal(t *testing.T, url, token string) crm.Destination {
	t.Helper()
	d, err := crm.Open(crm.Settings{
		Name: "hubspot", Type: "hubspot", BaseURL: url, AccessToken: token, RatePerSecond: 1e6, SearchPerSecond: 1e6,
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
