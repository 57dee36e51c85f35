package bolt

import (
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// Rows encoded by hand must not lose a field, whatever it holds, nor one that is
// added to the types later.
func TestRowsByHand(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.Just("\"\\\x00<&>\u2028\x7f"), rapid.Just(string([]rune{0xfffd, 0x10ffff})))
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		return time.Unix(rapid.Int64Range(0, 253402300799).Draw(t, "seconds"), rapid.Int64Range(0, 999999999).Draw(t, "nanos")).UTC()
	})
	number := rapid.OneOf(rapid.Int(), rapid.Just(0))
	calls := rapid.Custom(func(t *rapid.T) store.Call {
		c := store.Call{
			ID: text.Draw(t, "id"), AgentID: text.Draw(t, "agent"), Direction: text.Draw(t, "direction"),
			ResultType: julian.ResultType(text.Draw(t, "result")), Interim: rapid.Bool().Draw(t, "interim"),
			ReceivedAt: moment.Draw(t, "received"), RevisedAt: moment.Draw(t, "revised"),
			Revision: number.Draw(t, "revision"), Hash: text.Draw(t, "hash"), Size: number.Draw(t, "size"),
			Expired: number.Draw(t, "expired"),
		}
		if rapid.Bool().Draw(t, "scheduled") {
			c.ScheduledAt = moment.Draw(t, "at")
		}
		for range rapid.IntRange(0, 3).Draw(t, "warnings") {
			c.Warnings = append(c.Warnings, julian.Warning{Field: text.Draw(t, "field"), Text: text.Draw(t, "text")})
		}
		return c
	})
	rapid.Check(t, func(t *rapid.T) {
		want := calls.Draw(t, "call")
		row, err := encodeCall(&want)
		var got store.Call
		decoded(t, &got, row, err, want)
	})
	rapid.Check(t, func(t *rapid.T) {
		want := store.Delivery{
			Peer: text.Draw(t, "peer"), RequestID: text.Draw(t, "request"), Status: number.Draw(t, "status"),
			CallID: text.Draw(t, "id"), Size: number.Draw(t, "size"), Hash: text.Draw(t, "hash"), Reason: text.Draw(t, "reason"),
		}
		var got store.Delivery
		decoded(t, &got, encodeDelivery(&want), nil, want)
	})
	rapid.Check(t, func(t *rapid.T) {
		wish := delivered(store.State{}, &store.Delivery{Due: moment.Draw(t, "at"), Lane: store.Lane(rapid.IntRange(0, 1).Draw(t, "lane"))})
		var got store.State
		decoded(t, &got, encodeWish(&wish), nil, wish)
	})

	var c store.Call
	fill(reflect.ValueOf(&c).Elem())
	row, err := encodeCall(&c)
	var gotCall store.Call
	decoded(t, &gotCall, row, err, c)

	var d store.Delivery
	fill(reflect.ValueOf(&d).Elem())
	d.Seq, d.At, d.Verdict, d.Body, d.Call = 0, time.Time{}, "", nil, nil // kept elsewhere
	d.Lane, d.Due = store.Live, time.Time{}                               // for the state
	var gotDelivery store.Delivery
	decoded(t, &gotDelivery, encodeDelivery(&d), nil, d)
}

// decoded fails unless row decodes to want.
func decoded[T any](t rapid.TB, got *T, row []byte, err error, want T) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := decodeRow(row, got); err != nil {
		t.Fatalf("%s: %v", row, err)
	}
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", row, diff)
	}
}

// fill gives every field below v a value other than zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 0).UTC()))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}
