package bolt

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/bbolt"
)

// BenchmarkDeliver measures acknowledged deliveries by the number of concurrent
// senders, beside what bbolt.Batch makes of the same bytes:
//
//	go test -run - -bench Deliver ./store/bolt
func BenchmarkDeliver(b *testing.B) {
	for _, senders := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("journal/senders=%d", senders), func(b *testing.B) {
			j := openTest(b, Options{})
			if err := j.Enroll(b.Context(), []string{"hubspot"}); err != nil {
				b.Fatal(err)
			}
			benchmark(b, senders, func(callID string, body []byte) error {
				_, err := j.Deliver(b.Context(), testDelivery(callID, body))
				return err
			})
		})
		b.Run(fmt.Sprintf("batch/senders=%d", senders), func(b *testing.B) {
			db, err := bbolt.Open(filepath.Join(b.TempDir(), "raw.db"), 0o600, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			benchmark(b, senders, func(callID string, body []byte) error {
				return db.Batch(func(t *bbolt.Tx) error {
					bucket, err := t.CreateBucketIfNotExists([]byte("calls"))
					if err != nil {
						return err
					}
					return bucket.Put([]byte(callID), body)
				})
			})
		})
	}
}

// benchmark sends b.N calls from a number of senders, each of which waits for
// its answer before it sends the next.
func benchmark(b *testing.B, senders int, send func(callID string, body []byte) error) {
	bodies := benchBodies()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range senders {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					return
				}
				sum := sha256.Sum256(fmt.Append(nil, i))
				if err := send(hex.EncodeToString(sum[:16]), bodies[i%int64(len(bodies))]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "acks/s")
}

// benchBodies are of the size of a call with a short transcript: about 4 KB.
func benchBodies() [][]byte {
	words := strings.Fields(`the a to we you our of and is for that it with on can call team sales
		meeting thursday schedule product interested pricing question budget contract forward email follow next week`)
	r := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(words[r.IntN(len(words))])
			b.WriteByte(' ')
		}
		return b.String()
	}
	var bodies [][]byte
	for i := range 64 {
		bodies = append(bodies, fmt.Appendf(nil,
			`{"agentId":"agent_%d","name":"Jane Doe","phoneNumber":"+1555%07d","duration":%d,"callResult":{"resultType":"Goal Completed","summary":%q,"transcription":%q}}`,
			i%5, r.IntN(1e7), r.IntN(600), text(60), text(550)))
	}
	return bodies
}
