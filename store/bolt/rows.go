package bolt

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/callsync/callsync/store"
)

// The rows that every delivery writes are encoded by hand, which takes a fifth
// of what encoding/json does. What comes out is the same JSON, and it is decoded
// like any other row.

// encodeCall is [encodeRow] for a call.
func encodeCall(c *store.Call) ([]byte, error) {
	f := newFields(384)
	f.text("callId", c.ID)
	f.text("agentId", c.AgentID)
	f.text("direction", c.Direction)
	f.text("resultType", string(c.ResultType))
	if c.Interim {
		f.raw("interim", "true")
	}
	f.time("scheduledAt", c.ScheduledAt)
	f.time("receivedAt", c.ReceivedAt)
	f.time("revisedAt", c.RevisedAt)
	f.int("revision", c.Revision)
	f.text("hash", c.Hash)
	f.int("size", c.Size)
	if len(c.Warnings) > 0 {
		warnings, err := json.Marshal(c.Warnings)
		if err != nil {
			return nil, err
		}
		f.raw("warnings", string(warnings))
	}
	f.int("expired", c.Expired)
	return f.row(), nil
}

// encodeDelivery encodes what [decodeDelivery] cannot tell from elsewhere.
func encodeDelivery(d *store.Delivery) []byte {
	f := newFields(256)
	f.text("peer", d.Peer)
	f.text("requestId", d.RequestID)
	f.int("status", d.Status)
	f.text("callId", d.CallID)
	f.int("size", d.Size)
	f.text("hash", d.Hash)
	f.text("reason", d.Reason)
	return f.row()
}

// encodeWish is [encodeRow] for the state of a call that is new.
func encodeWish(s *store.State) []byte {
	f := newFields(160)
	f.text("status", string(s.Status))
	f.int("wanted", int(s.Wanted))
	f.time("since", s.Since)
	f.time("next", s.Next)
	f.int("lane", int(s.Lane))
	return f.row()
}

// fields are a row being made: the byte that says how it is packed, then JSON.
// A zero value is left out, which decodes to the same.
type fields []byte

func newFields(size int) fields { return append(make(fields, 0, size), plain) }

func (f *fields) name(name string) {
	open := byte(',')
	if len(*f) == 1 {
		open = '{'
	}
	*f = append(append(append(*f, open, '"'), name...), '"', ':')
}

func (f *fields) raw(name, value string) {
	f.name(name)
	*f = append(*f, value...)
}

func (f *fields) int(name string, n int) {
	if n != 0 {
		f.name(name)
		*f = strconv.AppendInt(*f, int64(n), 10)
	}
}

func (f *fields) time(name string, t time.Time) {
	if !t.IsZero() {
		f.name(name)
		*f = append(t.AppendFormat(append(*f, '"'), time.RFC3339Nano), '"')
	}
}

func (f *fields) text(name, s string) {
	if s == "" {
		return
	}
	f.name(name)
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string always has a form in JSON
			*f = append(*f, quoted...)
			return
		}
	}
	*f = append(append(append(*f, '"'), s...), '"')
}

// row packs the row if that pays.
func (f *fields) row() []byte {
	if len(*f) == 1 {
		*f = append(*f, '{')
	}
	*f = append(*f, '}')
	if len(*f) > zipFrom {
		return pack((*f)[1:])
	}
	return *f
}
