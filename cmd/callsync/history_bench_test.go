package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	gosync "sync"
	"testing"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/crm"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/mappings"
	"github.com/callsync/callsync/store"
)

// BenchmarkPlanHistory plans an edited mapping over all calls of a journal, as
// `callsync plan --mapping edited.toml --all` does:
//
//	go test -run - -bench PlanHistory -benchtime 1x ./cmd/callsync
//
// cpu-s is the processor time of one plan, which says more than its duration on a
// machine that does other things as well; peak-MB is the most that the heap held
// meanwhile.
func BenchmarkPlanHistory(b *testing.B) {
	collectLess()
	for _, calls := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("calls=%d", calls), func(b *testing.B) {
			dir := b.TempDir()
			file, err := writeConfig(dir, "http://127.0.0.1:1", "")
			if err != nil {
				b.Fatal(err)
			}
			fillJournal(b, filepath.Join(dir, "callsync.db"), calls)
			a := &app{configPath: file}
			s, err := a.connect(b.Context(), false)
			if err != nil {
				b.Fatal(err)
			}
			defer s.close()
			text := strings.Replace(readShipped(b), "default(resultType, 'Call')", "resultType == 'Voicemail' ? 'Left a message' : resultType", 1)
			req := admin.PlanRequest{Mapping: &admin.MappingSource{Name: "edited.toml", Source: text}}
			runtime.GC()
			var peak uint64
			client := s.Reporting(func(admin.Progress) {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			})
			busy := cpuTime()
			for b.Loop() {
				plans, err := client.Plan(b.Context(), req)
				if err != nil {
					b.Fatal(err)
				}
				if t := plans.Totals; t.Calls != calls || t.Properties["calls.hs_call_title"] != t.Writing || t.Writing != calls/len(benchPayloads) {
					b.Fatalf("%+v", t)
				}
			}
			b.ReportMetric((cpuTime()-busy).Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(float64(peak)/(1<<20), "peak-MB")
			b.ReportMetric(float64(calls)*float64(b.N)/b.Elapsed().Seconds(), "calls/s")
		})
	}
}

// benchPayloads are delivered in turn; one of them is a voicemail.
var benchPayloads = []string{"guide", "meeting", "terminal", "voicemail"}

func readShipped(b *testing.B) string {
	b.Helper()
	m, err := mappings.Builtin("hubspot", nil)
	if err != nil {
		b.Fatal(err)
	}
	return string(m.Source())
}

// fillJournal journals calls, four a person, as if all of them had been synced
// by the shipped mapping.
func fillJournal(b *testing.B, path string, calls int) {
	b.Helper()
	journal, err := openJournal(path, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer journal.Close()
	if err := journal.Enroll(b.Context(), []string{"hubspot"}); err != nil {
		b.Fatal(err)
	}
	m, err := loadMapping(config.Destination{Name: "hubspot", Type: "hubspot"})
	if err != nil {
		b.Fatal(err)
	}
	var work []int
	for i := range calls {
		work = append(work, i)
	}
	for part := range slices.Chunk(work, 2000) {
		var senders gosync.WaitGroup
		for share := range slices.Chunk(part, 10) {
			senders.Go(func() {
				for _, i := range share {
					if err := journalCall(b.Context(), journal, i); err != nil {
						b.Error(err)
					}
				}
			})
		}
		senders.Wait()
		if err := settleCalls(b.Context(), journal, m, part); err != nil {
			b.Fatal(err)
		}
	}
}

func benchID(i int) string { return fmt.Sprintf("call.%06d", i) }

func journalCall(ctx context.Context, journal store.Inbox, i int) error {
	body, err := demoPayloads.ReadFile("testdata/demo/" + benchPayloads[i%len(benchPayloads)] + ".json")
	if err != nil {
		return err
	}
	var payload map[string]any
	if err := json.Unmarshal(body, &payload); err != nil {
		return err
	}
	payload["callId"], payload["phoneNumber"] = benchID(i), fmt.Sprintf("+1555%07d", i/4)
	if body, err = json.Marshal(payload); err != nil {
		return err
	}
	c, err := julian.Parse(body)
	if err != nil {
		return err
	}
	_, err = journal.Deliver(ctx, store.Delivery{
		At: time.Now(), Status: 200, CallID: c.CallID, Size: len(body), Hash: julian.Hash(body),
		Verdict: store.Accepted, Body: bytes.Clone(body), Call: c,
	})
	return err
}

// settleCalls records what a sync would have left in the journal.
func settleCalls(ctx context.Context, journal store.Queue, m *mappings.Mapping, calls []int) error {
	u := store.Update{States: map[string]store.State{}, Records: map[string][]store.Record{}, People: map[crm.Ref]store.Person{}}
	var ids []string
	for _, i := range calls {
		ids = append(ids, benchID(i))
	}
	works, err := journal.Load(ctx, "hubspot", ids)
	if err != nil {
		return err
	}
	for i, w := range works {
		c, err := julian.Parse(w.Body)
		if err != nil {
			return err
		}
		want, err := m.Render(c, w.Call.ReceivedAt)
		if err != nil {
			return err
		}
		person := crm.Ref{Object: "contacts", ID: fmt.Sprint(calls[i] / 4)}
		p := u.People[person]
		p.Properties = map[string]store.Applied{}
		for _, f := range want.Person.Fields {
			p.Stake(f.Name, store.Claim{Value: f.Value, Write: f.Write, Call: c.CallID, At: want.At})
		}
		for name := range p.Claims {
			if top, ok := p.Top(name); ok {
				p.Properties[name] = store.Applied{Value: top.Value, Call: top.Call, At: top.At}
			}
		}
		u.People[person] = p
		for n, r := range want.Records {
			u.Records[c.CallID] = append(u.Records[c.CallID], store.Record{
				Key: r.Key, Block: r.Block, Object: r.Object, ID: fmt.Sprint(calls[i]*10 + n), Properties: applied(r.Fields), Links: []crm.Ref{person},
			})
		}
		s := w.State
		s.Status, s.Done, s.Next, s.Person = store.Synced, s.Wanted, time.Time{}, &store.Choice{Ref: person, How: "created"}
		s.Mapping, s.Revision = m.Version(), 1
		u.States[c.CallID] = s
	}
	return journal.Apply(ctx, "hubspot", u)
}

func applied(fields []crm.Field) map[string]store.Applied {
	out := map[string]store.Applied{}
	for _, f := range fields {
		if !f.Value.IsNull() {
			out[f.Name] = store.Applied{Value: f.Value}
		}
	}
	return out
}
