// Package backlog makes a believable backlog of calls and drains it through the
// real sync loop and the real journal, for benchmarks of connectors against
// their sandboxes. Nothing in the product imports it.
package backlog

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/mappings"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
	"github.com/callsync/callsync/sync"
)

// Calls returns n payloads of calls with the given number of people, the same
// for the same arguments: a third of them voicemails and the like, a fifth with
// a meeting, a third with something to do. Seven in ten people have an email.
func Calls(n, people int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	bodies := make([][]byte, n)
	for i := range bodies {
		who := r.IntN(people)
		at := start.Add(time.Duration(i) * time.Minute)
		vars := map[string]any{}
		if who%10 < 7 {
			vars["email"] = fmt.Sprintf("person%d@example.com", who)
		}
		body, err := json.Marshal(map[string]any{
			"agentId": "agent.bench", "agentName": "Outbound Agent",
			"callId":      fmt.Sprintf("call.bench%06d", i),
			"name":        fmt.Sprintf("Person No%d", who),
			"phoneNumber": fmt.Sprintf("+1415%07d", 2000000+who), "fromPhoneNumber": "+14155550100",
			"scheduledAt": at.Format(time.RFC3339), "timezone": "America/New_York", "direction": "outbound",
			"customInputVariables": vars, "duration": 20 + r.IntN(600),
			"callUrl":    fmt.Sprintf("https://julian.11x.ai/calls/call.bench%06d", i),
			"callResult": result(r, i, at),
		})
		if err != nil {
			panic(err) // maps of plain values
		}
		bodies[i] = body
	}
	return bodies
}

func result(r *rand.Rand, i int, at time.Time) map[string]any {
	kinds := []julian.ResultType{
		julian.GoalCompleted, julian.GoalCompleted, julian.GoalNotCompleted, julian.GoalNotCompleted,
		julian.Voicemail, julian.NoConversation,
	}
	res := map[string]any{
		"resultType": kinds[r.IntN(len(kinds))],
		"summary":    fmt.Sprintf("Call %d: spoke about the rollout, the price and the next steps.", i),
		"outcomes":   []any{map[string]any{"name": "interested", "reasoning": "asked for a price list"}},
	}
	if r.IntN(5) == 0 {
		meeting := at.Add(72 * time.Hour)
		res["followUpMeetingDetails"] = map[string]any{
			"startTime": meeting.Format(time.RFC3339), "endTime": meeting.Add(30 * time.Minute).Format(time.RFC3339),
			"hostEmail": "host@example.com",
		}
	}
	if r.IntN(3) == 0 {
		res["humanActions"] = []any{map[string]any{"description": "Send the price list", "status": "open", "actionKey": "send_mail"}}
	}
	return res
}

const destination = "bench"

// A Bench is a journal with a backlog, and a loop to drain it.
type Bench struct {
	tb      testing.TB
	journal store.Journal
	mapping *mappings.Mapping
	crm     crm.Destination
	ids     []string
}

// New journals bodies for a destination that is not being synced yet.
func New(tb testing.TB, d crm.Destination, m *mappings.Mapping, bodies [][]byte) *Bench {
	tb.Helper()
	j, err := bolt.Open(filepath.Join(tb.TempDir(), "bench.db"), bolt.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := j.Close(); err != nil {
			tb.Error(err)
		}
	})
	b := &Bench{tb: tb, journal: j, mapping: m, crm: d}
	if err := j.Enroll(context.Background(), []string{destination}); err != nil {
		tb.Fatal(err)
	}
	for _, body := range bodies {
		b.deliver(body)
	}
	return b
}

func (b *Bench) deliver(body []byte) {
	b.tb.Helper()
	call, hash, err := julian.Receive(body)
	if err != nil {
		b.tb.Fatal(err)
	}
	b.ids = append(b.ids, call.CallID)
	_, err = b.journal.Deliver(context.Background(), store.Delivery{
		At: time.Now(), Status: 200, CallID: call.CallID, Size: len(body), Hash: hash, Body: body, Call: call,
	})
	if err != nil {
		b.tb.Fatal(err)
	}
}

// Resync makes every call due again.
func (b *Bench) Resync(m *mappings.Mapping) {
	b.tb.Helper()
	b.mapping = m
	if _, err := b.journal.Request(context.Background(), destination, b.ids, store.Request{At: time.Now(), Lane: store.Replay}); err != nil {
		b.tb.Fatal(err)
	}
}

// Drain runs the loop until nothing is due, fails unless every call is synced,
// and says how long it took.
func (b *Bench) Drain() time.Duration {
	b.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	drained := make(chan struct{}, 1)
	loop := sync.New(sync.Options{
		Name: destination, Journal: b.journal, Destination: b.crm,
		Mapping: func() sync.Mapping { return b.mapping },
		Observe: func(sync.Report) {
			if _, due, err := b.journal.NextDue(ctx, destination); err == nil && !due {
				select {
				case drained <- struct{}{}:
				default:
				}
			}
		},
	})
	start := time.Now()
	done := make(chan error, 1)
	go func() { done <- loop.Run(ctx) }()
	select {
	case <-drained:
	case <-time.After(10 * time.Minute):
		b.tb.Fatalf("the backlog did not drain: %+v", loop.Health())
	}
	took := time.Since(start)
	cancel()
	if err := <-done; err != nil {
		b.tb.Fatal(err)
	}
	stats, err := b.journal.Stats(context.Background())
	if err != nil {
		b.tb.Fatal(err)
	}
	if n := stats.Destinations[destination][store.Synced]; n != int64(len(b.ids)) {
		b.tb.Fatalf("%d of %d calls synced: %v", n, len(b.ids), stats.Destinations[destination])
	}
	return took
}
