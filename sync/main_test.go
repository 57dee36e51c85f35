package sync_test

import (
	"context"
	"log"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
)

// TestMain has the journal compress something and read it back before any test
// runs: the compressor makes its channels on first use, and one made inside a
// test's bubble could not be used in the next.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "callsync")
	if err != nil {
		log.Fatal(err)
	}
	j, err := bolt.Open(filepath.Join(dir, "warm.db"), bolt.Options{})
	if err != nil {
		log.Fatal(err)
	}
	c := &julian.Call{CallID: "c", Raw: map[string]any{}}
	body := []byte(strings.Repeat("warm ", 1000))
	_, err = j.Deliver(context.Background(), store.Delivery{CallID: "c", Hash: "h", Body: body, Call: c})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := j.Load(context.Background(), dest, []string{"c"}); err != nil {
		log.Fatal(err)
	}
	if err := j.Close(); err != nil {
		log.Fatal(err)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		log.Print(err)
	}
	os.Exit(code)
}
