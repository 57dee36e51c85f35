package storetest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/callsync/callsync/store"
)

var keeperTests = []test{
	{"mappings", testMappings},
	{"settings", testSettings},
	{"backup writes something", testBackup},
}

func testMappings(t *testing.T, open Open) {
	f := start(t, open)
	if _, err := f.Mapping(f.ctx(), "v1"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown version: %v, want ErrNotFound", err)
	}
	m := store.MappingVersion{Version: "v1", Name: "hubspot.toml (built in)", Source: []byte("[contact]\n\xff"), Routed: map[string][]byte{"other.toml": []byte("[contact]")}, At: at(1)}
	f.ok(f.PutMapping(f.ctx(), m))
	again := m
	again.At, again.Name = at(9), "copy.toml"
	f.ok(f.PutMapping(f.ctx(), again))
	got, err := f.Mapping(f.ctx(), "v1")
	f.ok(err)
	same(t, "the version as it was first applied", got, m)
}

func testSettings(t *testing.T, open Open) {
	f := start(t, open)
	check := func(name, want string) {
		t.Helper()
		got, err := f.Get(f.ctx(), name)
		f.ok(err)
		if got != want {
			t.Errorf("Get(%q) = %q, want %q", name, got, want)
		}
	}
	check("paused", "")
	f.ok(f.Set(f.ctx(), "paused", "hubspot"))
	f.ok(f.Set(f.ctx(), "paused/since", "noon"))
	check("paused", "hubspot")
	f.ok(f.Set(f.ctx(), "paused", "both"))
	check("paused", "both")
	f.ok(f.Set(f.ctx(), "paused", ""))
	f.ok(f.Set(f.ctx(), "never", ""))
	check("paused", "")
	check("paused/since", "noon")
}

func testBackup(t *testing.T, open Open) {
	f := start(t, open, "hubspot")
	f.accepted("call", at(0))
	var b bytes.Buffer
	f.ok(f.Backup(f.ctx(), &b))
	if b.Len() == 0 {
		t.Error("the backup is empty")
	}
	broken := errors.New("no room")
	if err := f.Backup(f.ctx(), failing{broken}); !errors.Is(err, broken) {
		t.Errorf("Backup to a broken writer: %v, want %v", err, broken)
	}
	f.accepted("another", at(1))
}

type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }
