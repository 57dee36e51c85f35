package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callsync/callsync/crm"
)

// An anAccount is an account of which a test says what it has.
type anAccount struct {
	crm.Inspector
	err   error
	lacks string
	asked int
}

func (a *anAccount) Schema(_ context.Context, object string) (*crm.Schema, error) {
	a.asked++
	if a.err != nil {
		return nil, a.err
	}
	s := &crm.Schema{Object: object, Properties: map[string]crm.Property{}}
	for _, name := range []string{"phone", "hs_timestamp", crm.KeyProperty, crm.PersonKeyProperty} {
		if name != a.lacks {
			s.Properties[name] = crm.Property{Object: object, Name: name, Type: crm.TypeDateTime}
		}
	}
	return s, nil
}

// Only the account's definite answer keeps an edit out of force, and it is not
// asked about the same edit all the time.
func TestEditsAreComparedWithTheAccount(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "hubspot.toml")
	write(t, file, notesMapping)
	l, journal := newLive(t, dir, file)
	ctx := t.Context()
	if err := l.keep(ctx); err != nil {
		t.Fatal(err)
	}
	good := l.info().Version
	a := &anAccount{lacks: "hs_timestamp"}
	l.account = a

	write(t, file, notesMapping+"# edited\n")
	if changed, err := l.reload(ctx); changed || err == nil || !strings.Contains(err.Error(), "notes has no property hs_timestamp") {
		t.Fatalf("a property that is not there: %t %v", changed, err)
	}
	asked := a.asked
	for range 3 {
		if changed, err := l.reload(ctx); changed || err != nil {
			t.Errorf("again: %t %v", changed, err)
		}
	}
	if info := l.info(); a.asked != asked || info.Version != good || !strings.Contains(info.Problem, "hs_timestamp") {
		t.Errorf("asked %d times more; %+v", a.asked-asked, info)
	}

	// A restart asks as well.
	again, err := newLiveMapping(ctx, l.destination, journal, l.log)
	if err != nil {
		t.Fatal(err)
	}
	again.account = a
	if err := again.admit(ctx); err != nil || again.info().Version != good || again.info().Problem == "" {
		t.Errorf("after a restart: %v %+v", err, again.info())
	}

	a.err = &crm.Error{Kind: crm.Transient, Op: "notes properties list", Err: errors.New("no route to host")}
	l.forgetRefusal()
	if changed, err := l.reload(ctx); !changed || err != nil {
		t.Fatalf("an account that cannot be asked: %t %v", changed, err)
	}
	info := l.info()
	if info.Version == good || info.Problem != "" || len(info.Doubts) != 1 || !strings.Contains(info.Doubts[0], "no route to host") {
		t.Errorf("%+v", info)
	}
	kept, err := journal.Get(ctx, l.name())
	if err != nil || kept != info.Version {
		t.Errorf("the journal has version %s, %v", kept, err)
	}
}

func TestKeysAsTheFileWritesThem(t *testing.T) {
	for field, want := range map[string]string{
		"APIKeys": "api_keys", "MaxBody": "max_body", "TLSCert": "tls_cert", "BaseURL": "base_url", "URLs": "urls",
		"OAuth": "oauth", "API": "api", "AccessToken": "access_token", "Listen": "listen", "RatePerSecond": "rate_per_second",
	} {
		if got := keyOf(field); got != want {
			t.Errorf("%s: %s, not %s", field, got, want)
		}
	}
}
