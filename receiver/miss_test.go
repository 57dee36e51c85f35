package receiver_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/receiver"
)

// TestMisses sends what never reaches the webhook, and reads what is told of it.
func TestMisses(t *testing.T) {
	long := "/" + strings.Repeat("abcdefghi/", 30)
	for _, tt := range []struct {
		name, method, path, key string
		headers                 int
		status                  int // 0: it reaches the webhook
		want                    string
		keyed, chance           bool
	}{
		{name: "mistyped", method: "POST", path: "/webhook/julian", key: key, status: 404, want: "/webhook/julian", keyed: true},
		{name: "mistyped, no key", method: "POST", path: "/webhook/julian", status: 404, want: "/webhook/julian"},
		{name: "with a query", method: "POST", path: "/hook?phone=4740000000", key: key, status: 404, want: "/hook", keyed: true},
		{name: "a key in the path", method: "POST", path: "/webhooks/julian/" + key, status: 404, want: "/webhooks/julian/…"},
		{name: "a number", method: "PUT", path: "/calls/+47-400-000", status: 404, want: "/calls/…"},
		{name: "an address", method: "POST", path: "/ada%40example.com/x", status: 404, want: "/…/x"},
		{name: "escape sequences", method: "POST", path: "/%1b%5b31m%0a", key: key, status: 404, want: "/%1B%5B31m%0A", keyed: true},
		{name: "long", method: "POST", path: long, status: 404, want: long[:80] + "…"},
		{name: "scanner", method: "GET", path: "/.env", status: 404, want: "/.env", chance: true},
		{name: "redirected", method: "GET", path: "/webhooks/julian", key: key, status: 405, want: "/webhooks/julian", keyed: true},
		{name: "unknown method", method: "BREW", path: "/webhooks/julian", status: 405, want: "/webhooks/julian"},
		{name: "large header", method: "POST", path: "/webhooks/julian", key: key, headers: 300, status: 431, want: "/webhooks/julian", keyed: true},
		{name: "slash at the end", method: "POST", path: "/webhooks/julian/", key: key},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var seen receiver.Observation
			var out bytes.Buffer
			in := &inbox{}
			h := receiver.New(in, receiver.Options{
				Keys: []string{key}, Observe: func(o receiver.Observation) { seen = o },
				Logger: slog.New(slog.NewJSONHandler(&out, nil)),
			})
			r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(`{"callId":"c"}`))
			r.Header.Set("X-Api-Key", tt.key)
			r.Header.Set("Content-Type", "application/json")
			for range tt.headers {
				r.Header.Add("X-More", "x")
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
			if tt.status == 0 {
				if seen.Miss != nil || seen.Status != 200 {
					t.Errorf("observed %+v", seen)
				}
				return
			}
			m := seen.Miss
			if m == nil || seen.Status != tt.status || m.Path != tt.want || m.Keyed != tt.keyed || m.Chance != tt.chance {
				t.Fatalf("observed %d %+v", seen.Status, m)
			}
			if tt.method == "BREW" && m.Method != "other" || tt.method != "BREW" && m.Method != tt.method {
				t.Errorf("the method is %q", m.Method)
			}
			if len(in.all()) > 0 {
				t.Error("it made a row")
			}
			if logged := strings.Contains(out.String(), `"path":"`+tt.want+`"`); logged == tt.chance {
				t.Errorf("the log is\n%s", out.String())
			}
		})
	}
}

// TestMissesAreLoggedOnceAMinute: a flood makes few lines, which say how many there
// were, and strangers do not hide the one who has the key.
func TestMissesAreLoggedOnceAMinute(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	h := receiver.New(&inbox{}, receiver.Options{
		Keys: []string{key}, Now: func() time.Time { return now }, Logger: slog.New(slog.NewJSONHandler(&out, nil)),
	})
	miss := func(k string) {
		r := httptest.NewRequest("POST", "/webhook", http.NoBody)
		r.Header.Set("X-Api-Key", k)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	flood := func() {
		for range 1000 {
			miss("")
		}
		miss(key)
	}
	flood()
	now = now.Add(time.Minute)
	flood()
	type line struct {
		Requests int
		Keyed    bool `json:"acceptedKey"`
	}
	var lines []line
	for d := json.NewDecoder(&out); d.More(); {
		var l line
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	want := []line{{1, false}, {1, true}, {1000, false}, {1, true}}
	if len(lines) != len(want) {
		t.Fatalf("%d lines: %+v", len(lines), lines)
	}
	for i := range want {
		if lines[i] != want[i] {
			t.Errorf("line %d says %+v, want %+v", i, lines[i], want[i])
		}
	}
}
