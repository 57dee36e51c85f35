package bolt

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/callsync/callsync/internal/payload"
)

// Journals in use are packed with this dictionary: another one would make them
// unreadable.
func TestDictionaryIsTheOneInUse(t *testing.T) {
	sum := sha256.Sum256(dictionary)
	if got := hex.EncodeToString(sum[:]); got != "6ea78619fd95ed4bb68207d70b40b97376768abc7bb110fce0710ab3072f998e" {
		t.Errorf("the dictionary has changed (%s): a new one needs a codec and an id of its own", got)
	}
}

// Values packed before there was a dictionary stay readable, and a damaged one is
// noticed however it was packed.
func TestUnpackEveryCodec(t *testing.T) {
	body := payload.New(3, 10).Next()
	old, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string][]byte{
		"plain":           append([]byte{plain}, body...),
		"zstd":            old.EncodeAll(body, []byte{zipped}),
		"with dictionary": packBody(body),
		"row":             pack(body),
	} {
		got, err := unpack(value)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(body))
		}
		if value[0] == plain {
			continue
		}
		value[len(value)/2] ^= 0x40
		if got, err := unpack(value); err == nil {
			t.Errorf("%s: a flipped bit went unnoticed, %d bytes", name, len(got))
		}
	}
	if _, err := unpack([]byte{99, 1}); err == nil || !strings.Contains(err.Error(), "99") {
		t.Errorf("an unknown codec: %v", err)
	}
}

// The dictionary has to pay for calls that it was not made from.
func TestDictionaryPays(t *testing.T) {
	bare, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	source := payload.New(42, 1000)
	with, without, raw := 0, 0, 0
	for range 100 {
		body := source.Next()
		raw += len(body)
		with += len(packBody(body))
		without += len(bare.EncodeAll(body, nil))
	}
	if float64(with) > 0.85*float64(without) {
		t.Errorf("%d bytes packed to %d with the dictionary and %d without", raw, with, without)
	}
	t.Logf("%.3f of %d bytes, %.3f without the dictionary", float64(with)/float64(raw), raw, float64(without)/float64(raw))
}
