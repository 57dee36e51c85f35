package receiver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
// HTTP into a real journal, beside three yardsticks on the same disk in the same
// run, with as many goroutines and the same bodies:
//
//   - batch/s: one Put of the body with bbolt's DB.Batch, without any HTTP;
//   - rows/s: the rows that the journal made of a delivery, with DB.Batch;
//   - bare/s: net/http in front of a goroutine that Puts the bodies that wait in
//     one transaction. It checks, decodes, compresses and indexes nothing.
//
// Each is a new file with bbolt's default options and durability. The senders
// are bare connections that write requests made beforehand, so that little of
// the time is theirs. cpu-µs/ack is what the whole process, senders included,
// spent on a delivery; unlike the rates it says much on a busy machine too.
//
//	go test ./receiver -run '^$' -bench Deliveries -benchtime 20000x
func BenchmarkDeliveries(b *testing.B) {
	template, err := os.ReadFile("../julian/testdata/callresults-guide.json")
	if err != nil {
		b.Fatal(err)
	}
	for _, senders := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("senders=%d", senders), func(b *testing.B) {
			requests := make([]request, b.N)
			for i := range requests {
				requests[i] = newRequest(bytes.Replace(template, []byte("call.abc123"), fmt.Appendf(nil, "call.%08d", i), 1))
			}
			// Batch waits 10 ms for company; a few rounds of that are enough.
			few := make([][]row, min(len(requests), 200*senders))
			for i := range few {
				few[i] = []row{{[]byte("calls"), strconv.AppendInt(nil, int64(i), 10), requests[i].body}}
			}
			batched := batch(b, senders, few)
			bared := bare(b, senders, requests)
			b.ResetTimer()
			took, rows := deliveries(b, senders, requests)
			b.StopTimer()
			rowed := batch(b, senders, rows[:len(few)])
			b.ReportMetric(took.rate, "acks/s")
			b.ReportMetric(batched.rate, "batch/s")
			b.ReportMetric(rowed.rate, "rows/s")
			b.ReportMetric(bared.rate, "bare/s")
			b.ReportMetric(took.rate/batched.rate, "acks/batch")
			b.ReportMetric(bared.rate/batched.rate, "bare/batch")
			if took.cpu > 0 {
				b.ReportMetric(took.cpu, "cpu-µs/ack")
				b.ReportMetric(bared.cpu, "cpu-µs/bare")
			}
		})
	}
}

// A request is a delivery as it goes over the wire.
type request struct{ wire, body []byte }

func newRequest(body []byte) request {
	wire := fmt.Appendf(nil, "POST /webhooks/julian HTTP/1.1\r\nHost: callsync\r\nContent-Type: application/json\r\nX-Api-Key: %s\r\nContent-Length: %d\r\n\r\n", key, len(body))
	wire = append(wire, body...)
	return request{wire, wire[len(wire)-len(body):]}
}

// A pace is how fast something went.
type pace struct {
	rate float64 // a second
	cpu  float64 // µs of the process each; 0 where it cannot be told
}

func paceOf(n int, f func()) pace {
	runtime.GC() // what was before is not counted
	start, used := time.Now(), cpuTime()
	f()
	return pace{
		rate: float64(n) / time.Since(start).Seconds(),
		cpu:  float64((cpuTime() - used).Microseconds()) / float64(n),
	}
}

// each spreads n indexes over goroutines.
func each(b *testing.B, goroutines, n int, do func(goroutine int, next func() (int, bool)) error) {
	var wg sync.WaitGroup
	var taken atomic.Int64
	next := func() (int, bool) {
		i := int(taken.Add(1)) - 1
		return i, i < n
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

// A row is what one Put writes.
type row struct{ bucket, key, value []byte }

func openRaw(b *testing.B) *bbolt.DB {
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "raw.db"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// batch writes the rows of each delivery with DB.Batch as it comes.
func batch(b *testing.B, goroutines int, deliveries [][]row) pace {
	db := openRaw(b)
	defer db.Close()
	err := db.Update(func(tx *bbolt.Tx) error {
		for _, r := range slices.Concat(deliveries...) {
			if _, err := tx.CreateBucketIfNotExists(r.bucket); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return paceOf(len(deliveries), func() {
		each(b, goroutines, len(deliveries), func(_ int, next func() (int, bool)) error {
			for i, ok := next(); ok; i, ok = next() {
				err := db.Batch(func(tx *bbolt.Tx) error {
					for _, r := range deliveries[i] {
						if err := tx.Bucket(r.bucket).Put(r.key, r.value); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// rowsOf shares a journal's rows out among the n deliveries that made them.
func rowsOf(b *testing.B, path string, n int) [][]row {
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	deliveries := make([][]row, n)
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
			count, i := bucket.Stats().KeyN, 0
			return bucket.ForEach(func(k, v []byte) error {
				to := &deliveries[i*n/count]
				*to = append(*to, row{bytes.Clone(name), bytes.Clone(k), bytes.Clone(v)})
				i++
				return nil
			})
		})
	})
	if err != nil {
		b.Fatal(err)
	}
	return deliveries
}

// bare is the least there can be between net/http and a shared commit.
func bare(b *testing.B, senders int, requests []request) pace {
	db := openRaw(b)
	defer db.Close()
	name := []byte("calls")
	if err := db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(name); return err }); err != nil {
		b.Fatal(err)
	}
	type put struct {
		body []byte
		done chan error
	}
	puts := make(chan put, senders)
	go func() {
		n := 0
		for first := range puts {
			group := []put{first}
			for len(puts) > 0 {
				group = append(group, <-puts)
			}
			err := db.Update(func(tx *bbolt.Tx) error {
				for _, p := range group {
					n++
					if err := tx.Bucket(name).Put(strconv.AppendInt(nil, int64(n), 10), p.body); err != nil {
						return err
					}
				}
				return nil
			})
			for _, p := range group {
				p.done <- err
			}
		}
	}()
	defer close(puts)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := put{make([]byte, r.ContentLength), make(chan error, 1)}
		if _, err := io.ReadFull(r.Body, p.body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		puts <- p
		if err := <-p.done; err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, `{"status":"accepted"}`)
	})}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	return postAll(b, l.Addr().String(), senders, requests)
}

// deliveries posts requests to the receiver in front of the journal, and returns
// what each made it write as well.
func deliveries(b *testing.B, senders int, requests []request) (pace, [][]row) {
	path := filepath.Join(b.TempDir(), "callsync.db")
	journal, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer journal.Close()
	if err := journal.Enroll(context.Background(), []string{"hubspot", "salesforce"}); err != nil {
		b.Fatal(err)
	}
	url, _ := serve(b, journal, receiver.Options{}, receiver.Timeouts{})
	took := postAll(b, strings.TrimPrefix(url, "http://"), senders, requests)
	stats, err := journal.Stats(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	if got := stats.Deliveries[store.Accepted]; got != int64(len(requests)) {
		b.Fatalf("the journal has %d of %d deliveries", got, len(requests))
	}
	if err := journal.Close(); err != nil {
		b.Fatal(err)
	}
	return took, rowsOf(b, path, len(requests))
}

// postAll sends requests over one connection a sender, each after the answer to the
// one before.
func postAll(b *testing.B, address string, senders int, requests []request) pace {
	conns := make([]net.Conn, senders)
	for i := range conns {
		var err error
		if conns[i], err = net.Dial("tcp", address); err != nil {
			b.Fatal(err)
		}
		defer conns[i].Close()
	}
	return paceOf(len(requests), func() {
		each(b, senders, len(requests), func(sender int, next func() (int, bool)) error {
			buf := make([]byte, 4096)
			for i, ok := next(); ok; i, ok = next() {
				if _, err := conns[sender].Write(requests[i].wire); err != nil {
					return err
				}
				if err := readOK(conns[sender], buf); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// readOK reads one answer to its end; the error says what it is if it is not a
// 200 with a Content-Length.
func readOK(r io.Reader, buf []byte) error {
	const length = "\r\nContent-Length: "
	for n := 0; ; {
		m, err := r.Read(buf[n:])
		if err != nil {
			return err
		}
		n += m
		head, body, whole := bytes.Cut(buf[:n], []byte("\r\n\r\n"))
		if !whole {
			continue
		}
		if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("answered %q", buf[:n])
		}
		_, value, _ := bytes.Cut(head, []byte(length))
		value, _, _ = bytes.Cut(value, []byte("\r\n"))
		want, err := strconv.Atoi(string(value))
		switch {
		case err != nil:
			return err
		case len(body) > want:
			return errors.New("more than one answer")
		case len(body) == want:
			return nil
		}
	}
}
