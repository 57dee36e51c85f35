package receiver_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/callsync/callsync/receiver"
	"github.com/callsync/callsync/store"
	"github.com/callsync/callsync/store/bolt"
)

// BenchmarkDeliveries measures acknowledged deliveries a second through real
// HTTP into a real journal, beside what raw bbolt.Batch commits a second with
// as many goroutines and the same bytes, on the same disk in the same run. The
// senders are bare connections, so that little of the time is theirs.
//
//	go test ./receiver -run '^$' -bench Deliveries -benchtime 20000x
func BenchmarkDeliveries(b *testing.B) {
	template, err := os.ReadFile("../julian/testdata/callresults-guide.json")
	if err != nil {
		b.Fatal(err)
	}
	for _, senders := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("senders=%d", senders), func(b *testing.B) {
			bodies := make([][]byte, b.N)
			for i := range bodies {
				bodies[i] = bytes.Replace(template, []byte("call.abc123"), fmt.Appendf(nil, "call.%08d", i), 1)
			}
			// Batch waits 10 ms for company; a few rounds of that are enough.
			few := bodies[:min(len(bodies), 200*senders)]
			raw := perSecond(len(few), func() { batch(b, senders, few) })
			b.ResetTimer()
			acknowledged := deliveries(b, senders, bodies)
			b.ReportMetric(acknowledged, "acks/s")
			b.ReportMetric(raw, "batch/s")
			b.ReportMetric(acknowledged/raw, "ratio")
		})
	}
}

func perSecond(n int, f func()) float64 {
	start := time.Now()
	f()
	return float64(n) / time.Since(start).Seconds()
}

// each spreads the indexes of bodies over goroutines.
func each(b *testing.B, goroutines int, bodies [][]byte, do func(sender int, next func() (int, bool)) error) {
	var wg sync.WaitGroup
	var taken atomic.Int64
	next := func() (int, bool) {
		i := int(taken.Add(1)) - 1
		return i, i < len(bodies)
	}
	for g := range goroutines {
		wg.Go(func() {
			if err := do(g, next); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}

// batch puts bodies into a bbolt file with DB.Batch as it comes.
func batch(b *testing.B, goroutines int, bodies [][]byte) {
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "raw.db"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	bucket := []byte("calls")
	if err := db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(bucket); return err }); err != nil {
		b.Fatal(err)
	}
	each(b, goroutines, bodies, func(_ int, next func() (int, bool)) error {
		for i, ok := next(); ok; i, ok = next() {
			key := strconv.AppendInt(nil, int64(i), 10)
			if err := db.Batch(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, bodies[i]) }); err != nil {
				return err
			}
		}
		return nil
	})
}

// deliveries posts bodies and returns how many were acknowledged a second.
func deliveries(b *testing.B, senders int, bodies [][]byte) float64 {
	journal, err := bolt.Open(filepath.Join(b.TempDir(), "callsync.db"), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer journal.Close()
	if err := journal.Enroll(context.Background(), []string{"hubspot", "salesforce"}); err != nil {
		b.Fatal(err)
	}
	url, _ := serve(b, journal, receiver.Options{}, receiver.Timeouts{})
	address := strings.TrimPrefix(url, "http://")
	conns := make([]net.Conn, senders)
	for i := range conns {
		if conns[i], err = net.Dial("tcp", address); err != nil {
			b.Fatal(err)
		}
		defer conns[i].Close()
	}
	rate := perSecond(len(bodies), func() {
		each(b, senders, bodies, func(sender int, next func() (int, bool)) error {
			return sendAll(conns[sender], bodies, next)
		})
	})
	stats, err := journal.Stats(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	if got := stats.Deliveries[store.Accepted]; got != int64(len(bodies)) {
		b.Fatalf("the journal has %d of %d deliveries", got, len(bodies))
	}
	return rate
}

// sendAll posts over one connection, one after the other's answer.
func sendAll(c net.Conn, bodies [][]byte, next func() (int, bool)) error {
	answers := bufio.NewReader(c)
	var request []byte
	for i, ok := next(); ok; i, ok = next() {
		request = append(request[:0], "POST /webhooks/julian HTTP/1.1\r\nHost: callsync\r\nContent-Type: application/json\r\nX-Api-Key: "+key+"\r\nContent-Length: "...)
		request = strconv.AppendInt(request, int64(len(bodies[i])), 10)
		request = append(append(request, "\r\n\r\n"...), bodies[i]...)
		if _, err := c.Write(request); err != nil {
			return err
		}
		res, err := http.ReadResponse(answers, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			return err
		}
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("answered %s", res.Status)
		}
	}
	return nil
}
