package bolt

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var someBundle = bundle{
	{
		place:  key("0123456789"),
		bodies: []row{{key("seq"), []byte(`{"callId":"call.a"}`)}, {key("seq+"), []byte(`{"callId":"call.a","duration":1}`)}},
		rows:   []row{{key{rowCall}, []byte("a call")}, {key{rowState}, []byte("its state")}},
	},
	{place: key("0123456790"), rows: []row{{key{rowCall}, []byte("a call without a body")}}},
	{place: key("0123456791"), bodies: []row{{key("seq"), []byte("a body")}}},
}

// together is the layout of the first days.
func together(b bundle) (data []byte) {
	for _, c := range b {
		data = appendRows(appendRows(append(data, c.place...), c.bodies), c.rows)
	}
	return data
}

func TestBundleLayouts(t *testing.T) {
	for name, value := range map[string][]byte{
		"rows apart":           someBundle.frame(),
		"as in the first days": bundler.EncodeAll(together(someBundle), []byte{zippedWith}),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decodeBundle(value)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(someBundle, got, cmp.AllowUnexported(bundled{}, row{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The checksum of its frame tells first; the reader does not rely on it.
func TestBundleThatEndsTooSoon(t *testing.T) {
	data, err := unpack(someBundle.frame()[1:])
	if err != nil {
		t.Fatal(err)
	}
	for n := range data {
		if _, err := decodeBundle(append([]byte{apart, plain}, data[:n]...)); err == nil {
			t.Errorf("%d of its %d bytes were taken for all", n, len(data))
		}
	}
	if _, err := decodeBundle(slices.Concat([]byte{apart, plain}, data, []byte{0})); err == nil {
		t.Error("a byte too many was passed over")
	}
}
