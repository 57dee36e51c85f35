package bolt

import (
	"testing"
	"time"

	"github.com/callsync/callsync/internal/payload"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// BenchmarkPack packs settled calls with transcripts; one operation is a call.
func BenchmarkPack(b *testing.B) {
	j := openTest(b, Options{})
	if err := j.Enroll(b.Context(), []string{"hubspot"}); err != nil {
		b.Fatal(err)
	}
	source := payload.New(5, 1000)
	size := 0
	u := store.Update{States: map[string]store.State{}}
	for range b.N {
		body := source.Next()
		call, err := julian.Parse(body)
		if err != nil {
			b.Fatal(err)
		}
		size += len(body)
		go j.Deliver(b.Context(), store.Delivery{At: time.Now().Add(-time.Hour), Status: 200, Hash: julian.Hash(body), Size: len(body), Body: body, Call: call})
		u.States[call.CallID] = store.State{Status: store.Synced, Wanted: 1, Done: 1}
	}
	for s, err := j.Stats(b.Context()); err == nil && s.Calls < int64(b.N); s, err = j.Stats(b.Context()) {
		time.Sleep(10 * time.Millisecond)
	}
	if err := j.Apply(b.Context(), "hubspot", u); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(size / b.N))
	b.ResetTimer()
	if err := j.packAll(b.Context()); err != nil {
		b.Fatal(err)
	}
}
