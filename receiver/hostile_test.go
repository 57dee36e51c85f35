package receiver_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/callsync/callsync/receiver"
	"github.com/callsync/callsync/store"
)

// A wire is a connection written to by hand.
type wire struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, url string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &wire{t, c, bufio.NewReader(c)}
}

func (w *wire) send(s string) {
	w.t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		w.t.Fatal(err)
	}
}

// head is the beginning of an authorized request.
func head(extra string) string {
	return "POST /webhooks/julian HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Api-Key: " + key + "\r\n" + extra + "\r\n"
}

func (w *wire) status() int {
	w.t.Helper()
	res, err := http.ReadResponse(w.r, nil)
	if err != nil {
		w.t.Fatalf("no answer: %v", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// closed waits until the server has hung up, well before a whole body's time.
func (w *wire) closed() {
	w.t.Helper()
	if err := w.SetReadDeadline(time.Now().Add(15 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, w.r); err != nil && !strings.Contains(err.Error(), "reset") {
		w.t.Fatal(err)
	}
}

func TestSlowBody(t *testing.T) {
	in := &inbox{}
	url, _ := serve(t, in, receiver.Options{BodyTimeout: 20 * time.Millisecond}, receiver.Timeouts{})
	w := dial(t, url)
	w.send(head("Content-Length: 100\r\n") + `{"callId":`)
	if got := w.status(); got != 408 {
		t.Errorf("answered %d", got)
	}
	w.closed()
	all := in.all()
	if len(all) != 1 || all[0].Status != 408 || string(all[0].Body) != `{"callId":` {
		t.Errorf("logged %+v", all)
	}
}

func TestSlowHeader(t *testing.T) {
	url, _ := serve(t, &inbox{}, receiver.Options{}, receiver.Timeouts{Header: 20 * time.Millisecond})
	w := dial(t, url)
	w.send("POST /webhooks/julian HTTP/1.1\r\nHost:")
	w.closed()
}

func TestIdleConnection(t *testing.T) {
	url, _ := serve(t, &inbox{}, receiver.Options{}, receiver.Timeouts{Idle: 20 * time.Millisecond})
	w := dial(t, url)
	w.send(head("Content-Length: 14\r\n") + `{"callId":"c"}`)
	if got := w.status(); got != 200 {
		t.Errorf("answered %d", got)
	}
	w.closed()
}

// A sender without a key, on another path or with another method is answered
// before its body comes, and is not listened to any longer.
func TestRefusedBeforeTheBody(t *testing.T) {
	for want, request := range map[int]string{
		401: "POST /webhooks/julian HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
		404: "POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
		405: "PUT /webhooks/julian HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n",
		413: head("Content-Length: 1099511627776\r\n"),
	} {
		url, _ := serve(t, &inbox{}, receiver.Options{}, receiver.Timeouts{})
		w := dial(t, url)
		w.send(request)
		if got := w.status(); got != want {
			t.Errorf("answered %d, want %d", got, want)
		}
		w.closed()
	}
}

func TestLyingContentLength(t *testing.T) {
	t.Run("sends less", func(t *testing.T) {
		in := &inbox{}
		url, _ := serve(t, in, receiver.Options{}, receiver.Timeouts{})
		w := dial(t, url)
		w.send(head("Content-Length: 100\r\n") + `{"callId":"c"}`)
		if err := w.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := w.status(); got != 400 {
			t.Errorf("answered %d", got)
		}
		if all := in.all(); len(all) != 1 || all[0].Verdict != store.Rejected || string(all[0].Body) != `{"callId":"c"}` {
			t.Errorf("logged %+v", all)
		}
	})
	t.Run("sends more", func(t *testing.T) {
		in := &inbox{}
		url, _ := serve(t, in, receiver.Options{}, receiver.Timeouts{})
		w := dial(t, url)
		w.send(head("Content-Length: 14\r\n") + `{"callId":"c"}{"callId":"d"}` + "\r\n\r\n")
		if got := w.status(); got != 200 {
			t.Errorf("answered %d", got)
		}
		if got := w.status(); got != 400 {
			t.Errorf("the rest is answered %d", got)
		}
		if all := in.all(); len(all) != 1 || all[0].CallID != "c" {
			t.Errorf("logged %+v", all)
		}
	})
	t.Run("tells nothing and never ends", func(t *testing.T) {
		in := &inbox{}
		url, _ := serve(t, in, receiver.Options{MaxBody: 1 << 20}, receiver.Timeouts{})
		w := dial(t, url)
		w.send(head("Transfer-Encoding: chunked\r\n"))
		chunk := "10000\r\n" + strings.Repeat(" ", 0x10000) + "\r\n"
		for range 17 {
			w.send(chunk)
		}
		if got := w.status(); got != 413 {
			t.Errorf("answered %d", got)
		}
		all := in.all()
		if len(all) != 1 || all[0].Size > 1<<20 || len(all[0].Body) > 256<<10 || len(all[0].Body) == 0 {
			t.Errorf("logged %d rows, %d bytes", len(all), all[0].Size)
		}
	})
}

// A probe without a body costs a proxy no connection.
func TestRefusedWithoutABodyKeepsTheConnection(t *testing.T) {
	url, _ := serve(t, &inbox{}, receiver.Options{}, receiver.Timeouts{})
	w := dial(t, url)
	for range 2 {
		w.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if got := w.status(); got != 404 {
			t.Errorf("answered %d", got)
		}
	}
}

// What is promised is not what is allocated.
func TestPromisedBodiesCostNothing(t *testing.T) {
	url, _ := serve(t, &inbox{}, receiver.Options{BodyTimeout: time.Minute}, receiver.Timeouts{})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		w := dial(t, url)
		w.send(head("Expect: 100-continue\r\nContent-Length: 10485760\r\n"))
		if got := w.status(); got != 100 { // the handler reads
			t.Fatalf("answered %d", got)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("100 promises of 10 MiB took %d MiB", grown>>20)
	}
}

func TestTenThousandHeaders(t *testing.T) {
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, "X-%d: x\r\n", i)
	}
	for name, x := range map[string]struct {
		extra string
		words bool // ours
	}{
		"many":          {many.String(), true},
		"one that long": {"X: " + strings.Repeat("x", 40<<10) + "\r\n", true},
		"megabytes":     {strings.Repeat("X: "+strings.Repeat("x", 1000)+"\r\n", 2000), false},
	} {
		t.Run(name, func(t *testing.T) {
			in := &inbox{}
			url, _ := serve(t, in, receiver.Options{}, receiver.Timeouts{})
			w := dial(t, url)
			// The server may hang up while we write.
			go func() { _, _ = io.WriteString(w, head(x.extra+"Content-Length: 0\r\n")) }()
			res, err := http.ReadResponse(w.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			text, _ := io.ReadAll(res.Body)
			if res.StatusCode != 431 || strings.Contains(string(text), `"error":"HEADER_TOO_LARGE"`) != x.words {
				t.Errorf("answered %d %s", res.StatusCode, text)
			}
			if rows := in.all(); len(rows) > 0 {
				t.Errorf("%d rows in the delivery log", len(rows))
			}
		})
	}
}

// Neither a bomb nor a stream that inflates to nothing is read to its end.
func TestGzipBombs(t *testing.T) {
	bomb := zipped(`{"callId":"` + strings.Repeat("0", 50<<20))
	empty := bytes.Repeat([]byte(zipped("")), 1<<16)
	for name, body := range map[string]string{"bomb": bomb, "empty members": string(empty)} {
		in := &inbox{}
		url, _ := serve(t, in, receiver.Options{MaxBody: 1 << 20}, receiver.Timeouts{})
		got := send(t, post(t, url, body, "Content-Encoding", "gzip"))
		if got.code != 413 {
			t.Errorf("%s: answered %+v", name, got)
		}
		if all := in.all(); len(all) != 1 || len(all[0].Body) > 256<<10 {
			t.Errorf("%s: %d rows", name, len(all))
		}
	}
}

// held is an inbox that waits until it is let go.
type held struct {
	entered chan context.Context
	release chan struct{}
}

func (h held) Deliver(ctx context.Context, d store.Delivery) (store.Receipt, error) {
	h.entered <- ctx
	<-h.release
	return store.Receipt{Verdict: d.Verdict, Revision: 1}, ctx.Err()
}

func TestShutdownAnswersWhatIsUnderWay(t *testing.T) {
	in := held{make(chan context.Context), make(chan struct{})}
	h := receiver.New(in, receiver.Options{Keys: []string{key}})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- receiver.Serve(ctx, receiver.NewServer(h, receiver.Timeouts{}, nil), l, nil, time.Minute)
	}()
	url := "http://" + l.Addr().String()
	w := dial(t, url)
	w.send(head("Content-Length: 14\r\n") + `{"callId":"c"}`)
	<-in.entered
	cancel()
	for { // until the door is shut
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break
		}
		c.Close()
	}
	close(in.release)
	if got := w.status(); got != 200 {
		t.Errorf("answered %d", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A delivery that arrived whole is journalled although its sender is gone.
func TestSenderHangsUp(t *testing.T) {
	in := held{make(chan context.Context), make(chan struct{})}
	gone := make(chan struct{})
	h := receiver.New(in, receiver.Options{Keys: []string{key}})
	server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		context.AfterFunc(r.Context(), func() { close(gone) })
		h.ServeHTTP(w, r)
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- receiver.Serve(ctx, receiver.NewServer(server, receiver.Timeouts{}, nil), l, nil, time.Minute)
	}()
	w := dial(t, "http://"+l.Addr().String())
	w.send(head("Content-Length: 14\r\n") + `{"callId":"c"}`)
	deliver := <-in.entered
	w.Close()
	<-gone
	if err := deliver.Err(); err != nil {
		t.Errorf("the journal is told to stop: %v", err)
	}
	close(in.release)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Logs name calls, and nobody.
func TestLogsHoldNoPersonalData(t *testing.T) {
	var mu sync.Mutex
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(lockedWriter{&mu, &out}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	in := &inbox{}
	url, _ := serve(t, in, receiver.Options{Logger: log}, receiver.Timeouts{})
	body := `{"callId":"call.77","name":"Victor Wembly","phoneNumber":"+15551234567","callResult":{"transcription":"secret words"}}`
	send(t, post(t, url, body))
	send(t, post(t, url, body+"x"))
	send(t, post(t, url, strings.Replace(body, "callId", "id", 1)))
	send(t, post(t, url, body, "x-api-key", "guessed-key"))
	in.mu.Lock()
	in.err = store.ErrUnavailable
	in.mu.Unlock()
	send(t, post(t, url, body))

	mu.Lock()
	defer mu.Unlock()
	for _, secret := range []string{key, "guessed-key", "Victor", "Wembly", "5551234567", "secret words"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("the log holds %q:\n%s", secret, out.String())
		}
	}
	if n := strings.Count(out.String(), `"callId":"call.77"`); n != 2 {
		t.Errorf("%d lines name the call:\n%s", n, out.String())
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
