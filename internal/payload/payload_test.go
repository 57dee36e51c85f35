package payload_test

import (
	"bytes"
	"testing"

	"github.com/callsync/callsync/internal/payload"
	"github.com/callsync/callsync/julian"
)

// The same seed makes the same calls, another one others, and all are payloads
// that nobody would warn about.
func TestSource(t *testing.T) {
	a, same, other := payload.New(1, 100), payload.New(1, 100), payload.New(2, 100)
	ids := map[string]bool{}
	transcripts, size := 0, 0
	for range 300 {
		body := a.Next()
		if !bytes.Equal(body, same.Next()) {
			t.Fatal("one seed made two payloads")
		}
		for _, body := range [][]byte{body, other.Next()} {
			call, err := julian.Parse(body)
			if err != nil || len(call.Warnings) > 0 {
				t.Fatalf("%v, %v: %s", err, call.Warnings, body)
			}
			if ids[call.CallID] {
				t.Fatalf("callId %s twice", call.CallID)
			}
			ids[call.CallID] = true
			if n := len(call.Result.Transcription); n >= 2000 {
				transcripts, size = transcripts+1, size+n
			}
		}
	}
	if transcripts < 360 || transcripts > 480 || size/transcripts < 10_000 || size/transcripts > 12_500 {
		t.Errorf("%d of 600 calls have a transcript, of %d bytes on average; want 7 of 10, and 11 KB", transcripts, size/transcripts)
	}
}
