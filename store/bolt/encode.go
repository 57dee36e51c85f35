package bolt

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"

	"github.com/klauspost/compress/zstd"
)

// Every value that may be large starts with a byte that says how the rest is
// packed.
const (
	plain      = 0
	zipped     = 1 // a zstd frame with a checksum
	zippedWith = 2 // the same, with the dictionary
)

// dictionary is made-up text as payloads and rows have it: most values are too
// small to tell zstd by themselves what repeats in all of them. It is the same
// for all journals, since one learnt from a journal's own calls would hold what
// people said in it, long after it was to be erased. It never changes, as long as
// there may be journals packed with it.
//
//go:generate go run ../../internal/payload/mkdict dictionary
//go:embed dictionary
var dictionary []byte

// dictionaryID is the id that frames made with the dictionary carry.
const dictionaryID = 1

// zipFrom is the size in bytes from which packing pays. Most rows of a delivery
// stay below it, and what is applied to a CRM, which repeats the call's words, is
// above.
const zipFrom = 400

// zipPeopleFrom is the same for people and identities.
const zipPeopleFrom = 64

// maxUnpacked bounds what one value may unpack to, in bytes, whatever a damaged
// frame claims.
const maxUnpacked = 1 << 30

// These serve all journals, and may be used concurrently.
// They are ready before any journal is, so that one opened in a bubble of
// testing/synctest does not tie them to it.
var (
	encoder = newEncoder(zstd.SpeedFastest, runtime.GOMAXPROCS(0))
	decoder = newDecoder()
)

// newEncoder makes an encoder of a level: the fastest costs a delivery a third less
// time than the next, for a body larger by a tenth. A window of 1 MiB reaches as
// far as repetition in a transcript does, and keeps an idle encoder small.
func newEncoder(level zstd.EncoderLevel, concurrency int) *zstd.Encoder {
	e, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(concurrency), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderDictRaw(dictionaryID, dictionary))
	if err != nil {
		panic(err) // the options are constants
	}
	e.EncodeAll(nil, nil)
	return e
}

func newDecoder() *zstd.Decoder {
	d, err := zstd.NewReader(nil,
		zstd.WithDecoderMaxMemory(maxUnpacked), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(0),
		zstd.WithDecoderDictRaw(dictionaryID, dictionary))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}

func pack(data []byte) []byte { return packFrom(zipFrom, data) }

func packFrom(size int, data []byte) []byte {
	if len(data) >= size {
		if out := packBody(data); len(out) <= len(data) {
			return out
		}
	}
	return append([]byte{plain}, data...)
}

// packBody always makes a frame: bbolt would not notice that a page decayed, and
// a body that differs by a bit is worse than none.
func packBody(data []byte) []byte {
	return encoder.EncodeAll(data, append(make([]byte, 0, len(data)+64), zippedWith))
}

// unpack returns a copy: what it is given may lie in the file's mapping.
func unpack(value []byte) ([]byte, error) {
	if len(value) == 0 {
		return nil, errors.New("an empty value")
	}
	switch value[0] {
	case plain:
		return append([]byte{}, value[1:]...), nil
	case zipped, zippedWith:
		return decoder.DecodeAll(value[1:], nil)
	default:
		return nil, fmt.Errorf("a value packed in the unknown way %d", value[0])
	}
}

func encodeRow(v any) ([]byte, error) { return encodeFrom(zipFrom, v) }

// encodePerson is encodeRow for what is kept of people: such rows stay for good,
// and are not bundled.
func encodePerson(v any) ([]byte, error) { return encodeFrom(zipPeopleFrom, v) }

func encodeFrom(size int, v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return packFrom(size, bytes.TrimSuffix(out.Bytes(), []byte("\n"))), nil
}

func decodeRow(value []byte, v any) error {
	data, err := unpack(value)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return damaged(err)
	}
	return nil
}
