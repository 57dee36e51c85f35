package admin_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// TestReadmitSaysWhyNot: each delivery that cannot be taken in is refused for its
// own reason.
func TestReadmitSaysWhyNot(t *testing.T) {
	w := newWorld(t)
	reject := func(status int, body string, at time.Time) uint64 {
		t.Helper()
		r, err := w.journal.Deliver(t.Context(), store.Delivery{
			At: at, Status: status, Verdict: store.Rejected, Size: len(body), Body: []byte(body), Reason: "turned away",
		})
		if err != nil {
			t.Fatal(err)
		}
		return r.Seq
	}
	now := time.Now()
	old := reject(400, "{", now.AddDate(0, 0, -2))
	expired, err := w.journal.Expire(t.Context(), store.Expiry{Deliveries: now.AddDate(0, 0, -1), Limit: 10})
	if err != nil || expired.Deliveries != 1 {
		t.Fatalf("expired %+v, %v", expired, err)
	}
	w.deliver(t, "call.1", julian.Voicemail)
	const accepted = 2
	for _, tt := range []struct {
		name        string
		seq         uint64
		code, want  string
		mended      bool // a body of one's own is refused as well
		bodyIsShown bool // what is kept can be looked at
	}{
		{name: "none such", seq: 1000, code: "not_found", mended: true, want: "there is no delivery 1000"},
		{name: "zero", seq: 0, code: "not_found", mended: true, want: "there is no delivery 0"},
		{name: "expired", seq: old, code: "gone", mended: true, want: "no longer in the log"},
		{name: "accepted", seq: accepted, code: "not_rejected", mended: true, want: "it is accepted, and call call.1 has it"},
		{name: "without a key", seq: reject(401, "", now), code: "not_kept", want: "without an accepted key"},
		{name: "too large to read", seq: reject(413, "", now), code: "not_kept", want: "larger than max_body"},
		{name: "too large in the end", seq: reject(413, `{"callId":`, now), code: "not_whole", bodyIsShown: true, want: "only the first 10 bytes"},
		{name: "empty", seq: reject(400, "", now), code: "not_kept", want: "it was empty"},
		{name: "malformed", seq: reject(400, "{", now), code: "malformed", bodyIsShown: true, want: "not a JSON object"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := admin.InProcess(w.server)
			_, err := c.Readmit(t.Context(), tt.seq, nil)
			var e *admin.Error
			if !errors.As(err, &e) || e.Code != tt.code || !strings.Contains(e.Message, tt.want) || e.Hint == "" {
				t.Errorf("it says %+v, want %s: %s", e, tt.code, tt.want)
			}
			var shown strings.Builder
			if err := c.Quarantined(t.Context(), tt.seq, &shown); (err == nil) != tt.bodyIsShown {
				t.Errorf("its body is %q, %v", shown.String(), err)
			}
			_, err = c.Readmit(t.Context(), tt.seq, strings.NewReader(`{"callId":"call.mended"}`))
			if (err != nil) != tt.mended {
				t.Errorf("a body of one's own is answered %v", err)
			}
		})
	}
}
