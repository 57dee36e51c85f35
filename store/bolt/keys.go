package bolt

import (
	"bytes"
	"encoding/binary"
	"strings"
	"time"
)

// Keys are made of parts that sort as their values do. Text of any content may
// be followed by more parts: a NUL in it is escaped and its end is marked, so
// that no text is mistaken for the start of a longer one.

const (
	textEnd    = 0x01 // after a NUL: the text ends here
	textEscape = 0xff // after a NUL: the NUL belongs to the text
)

type key []byte

// room makes room for n more bytes and a few parts behind them: a key is made in
// one allocation, and a delivery makes dozens.
func (k key) room(n int) key {
	if cap(k)-len(k) >= n {
		return k
	}
	return append(make(key, 0, len(k)+n+48), k...)
}

func (k key) text(s string) key {
	k = k.room(len(s) + 2)
	if strings.IndexByte(s, 0) < 0 {
		return append(append(k, s...), 0, textEnd)
	}
	for i := range len(s) {
		k = append(k, s[i])
		if s[i] == 0 {
			k = append(k, textEscape)
		}
	}
	return append(k, 0, textEnd)
}

func (k key) byte(b byte) key { return append(k, b) }

func (k key) uint64(n uint64) key { return binary.BigEndian.AppendUint64(k, n) }

func (k key) uint32(n uint32) key { return binary.BigEndian.AppendUint32(k, n) }

func (k key) time(t time.Time) key {
	k = k.room(12).uint64(uint64(t.Unix()) ^ 1<<63)
	return k.uint32(uint32(t.Nanosecond()))
}

// A keyReader takes a key apart, in the order in which it was made.
type keyReader []byte

func (r *keyReader) text() string {
	b := *r
	var out []byte
	for i := 0; i+1 < len(b); i++ {
		if b[i] != 0 {
			out = append(out, b[i])
			continue
		}
		i++
		if b[i] == textEnd {
			*r = b[i+1:]
			return string(out)
		}
		out = append(out, 0)
	}
	*r = nil
	return string(out)
}

func (r *keyReader) byte() byte {
	b := *r
	if len(b) == 0 {
		return 0
	}
	*r = b[1:]
	return b[0]
}

func (r *keyReader) uint64() uint64 {
	b := *r
	if len(b) < 8 {
		*r = nil
		return 0
	}
	*r = b[8:]
	return binary.BigEndian.Uint64(b)
}

func (r *keyReader) uint32() uint32 {
	b := *r
	if len(b) < 4 {
		*r = nil
		return 0
	}
	*r = b[4:]
	return binary.BigEndian.Uint32(b)
}

func (r *keyReader) time() time.Time {
	seconds := int64(r.uint64() ^ 1<<63)
	return time.Unix(seconds, int64(r.uint32())).UTC()
}

// after returns the first key behind all keys that start with prefix; nil when
// there is none.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for len(end) > 0 {
		last := len(end) - 1
		end[last]++
		if end[last] != 0 {
			return end
		}
		end = end[:last]
	}
	return nil
}

// A call's rows lie beside each other, under its place and a byte for their kind.
const (
	rowBundled  = 'b' // instead of all others but deliveries: the call lies in a bundle
	rowCall     = 'c' // the call itself
	rowDelivery = 'd' // + seq: the deliveries that named it
	rowRecord   = 'k' // + destination + record key
	rowRevision = 'r' // + number
	rowState    = 's' // + destination
)

func stateKey(destination string) key { return key{rowState}.text(destination) }

func recordKey(destination, record string) key {
	return key{rowRecord}.text(destination).text(record)
}

func revisionKey(n int) key { return key{rowRevision}.uint32(uint32(n)) }

func deliveryKey(seq uint64) key { return key{rowDelivery}.uint64(seq) }

// A place is a call's number, which stands for its callId in all other keys. It
// is made of the time at which the call was first received and of a count, so
// that calls sort as they came in, and rows of calls that are worked on together
// lie together. It is in four keys of every call, and so kept short.
const placeSize = 10 // six bytes of milliseconds since the year zero, four of the count

const (
	// yearZero is the start of the year 0 in milliseconds before 1970.
	yearZero = 62167219200_000
	// lastMilli is the last that a place has room for, in the year 8919: what is
	// later still sorts there.
	lastMilli = 1<<48 - 1
)

func placeOf(received time.Time, count uint64) key {
	return placesFrom(received).room(placeSize).uint32(uint32(count))
}

// placesFrom is what the places of calls received in the millisecond of t start
// with, and sorts before them and behind all earlier ones.
func placesFrom(t time.Time) key {
	milli := uint64(min(max(t.UnixMilli()+yearZero, 0), lastMilli))
	k := make(key, 0, placeSize+38)
	return append(k, byte(milli>>40), byte(milli>>32)).uint32(uint32(milli))
}

// receivedAt is the millisecond in a place.
func receivedAt(place []byte) time.Time {
	r := keyReader(place)
	milli := int64(r.byte())<<40 | int64(r.byte())<<32 | int64(r.uint32())
	return time.UnixMilli(milli - yearZero).UTC()
}
