package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Calls that nobody works on any more lie in bundles: the rows of some dozens of
// them, and their bodies, in one frame. What their text has in common is then
// kept once, and pages are filled up. A bundle never changes: to write to a call
// it is first taken out, and what is left of its bundle makes a new one.
//
// In the bucket of rows such a call has the row [rowBundled], which says where it
// is, and the deliveries that named it since. Indexes stay as they are.

// A bundle is calls in the order of their places.
type bundle []bundled

// A bundled call has the rows of its dossier in order, and its bodies by the seq
// of their delivery. Values are as they lie in their buckets, but not compressed.
type bundled struct {
	place  key
	rows   []row
	bodies []row
}

func (b bundle) find(place []byte) (bundled, bool) {
	i, ok := slices.BinarySearchFunc(b, place, func(c bundled, place []byte) int { return bytes.Compare(c.place, place) })
	if !ok {
		return bundled{}, false
	}
	return b[i], true
}

func findRow(rows []row, k []byte) []byte {
	i, ok := slices.BinarySearchFunc(rows, k, func(r row, k []byte) int { return bytes.Compare(r.key, k) })
	if !ok {
		return nil
	}
	return rows[i].value
}

// inPlain is a row's value as it lies in a bundle, and repacked what it is
// outside. Rows of some kinds are never compressed by themselves.
func inPlain(k key, value []byte) ([]byte, error) {
	if !packs(k) {
		return bytes.Clone(value), nil
	}
	data, err := unpack(value)
	return append([]byte{plain}, data...), err
}

func repacked(k key, value []byte) []byte {
	if !packs(k) {
		return value
	}
	return pack(value[1:])
}

func packs(k key) bool { return k[0] == rowCall || k[0] == rowRecord || k[0] == rowState }

// apart marks a bundle whose bodies stand before all rows. Journals of the first
// days have bundles without it, in which each call's rows follow its bodies.
const apart = 3

// encode makes the frame, and makes sure that it can be read again before anything
// is given up for it.
func (b bundle) encode() ([]byte, error) {
	value := b.frame()
	again, err := decodeBundle(value)
	if err == nil && !slices.EqualFunc(b, again, bundled.equal) {
		err = errReadBack
	}
	return value, err
}

var errReadBack = errors.New("nothing was packed: what is read back from the bundle differs from what went in")

func (c bundled) equal(other bundled) bool {
	return bytes.Equal(c.place, other.place) && slices.EqualFunc(c.rows, other.rows, row.equal) && slices.EqualFunc(c.bodies, other.bodies, row.equal)
}

// frame is for each call its place and its bodies, then for each its
// rows. Bodies come first, since rows repeat what they say; and by themselves, since
// words and what rows are made of have other letters, which zstd counts by block.
// That saves a fiftieth.
func (b bundle) frame() []byte {
	data := make([]byte, 0, b.size()+b.size()/8)
	data = binary.AppendUvarint(data, uint64(len(b)))
	for _, c := range b {
		data = appendRows(append(data, c.place...), c.bodies)
	}
	for _, c := range b {
		data = appendRows(data, c.rows)
	}
	return bundler.EncodeAll(data, []byte{apart, zippedWith})
}

func appendRows(data []byte, rows []row) []byte {
	data = binary.AppendUvarint(data, uint64(len(rows)))
	for _, r := range rows {
		data = append(binary.AppendUvarint(data, uint64(len(r.key))), r.key...)
		data = append(binary.AppendUvarint(data, uint64(len(r.value))), r.value...)
	}
	return data
}

// bundler makes the frames of bundles. It takes twice the time that [encoder]
// does, for which nobody waits.
var bundler = newEncoder(zstd.SpeedBetterCompression, 1)

// size is about how many bytes the bundle holds.
func (b bundle) size() (n int) {
	for _, c := range b {
		for _, rows := range [][]row{c.rows, c.bodies} {
			for _, r := range rows {
				n += len(r.key) + len(r.value)
			}
		}
	}
	return n
}

func decodeBundle(value []byte) (bundle, error) {
	value, rowsApart := bytes.CutPrefix(value, []byte{apart})
	data, err := unpack(value)
	if err != nil {
		return nil, err
	}
	r := bundleReader{rest: data}
	if !rowsApart {
		return r.together()
	}
	return r.apart()
}

// A bundleReader takes a bundle apart. What it returns lies in rest.
type bundleReader struct {
	rest []byte
	err  error
}

func (r *bundleReader) apart() (b bundle, err error) {
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		b = append(b, bundled{place: r.take(placeSize), bodies: r.rows()})
	}
	for i := range b {
		b[i].rows = r.rows()
	}
	if r.err == nil && len(r.rest) > 0 {
		r.err = errors.New("there is more than its calls")
	}
	return b, r.err
}

func (r *bundleReader) together() (b bundle, err error) {
	for len(r.rest) > 0 && r.err == nil {
		b = append(b, bundled{place: r.take(placeSize), bodies: r.rows(), rows: r.rows()})
	}
	return b, r.err
}

func (r *bundleReader) rows() (rows []row) {
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		k := r.take(r.uvarint())
		rows = append(rows, row{k, r.take(r.uvarint())})
	}
	return rows
}

func (r *bundleReader) uvarint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *bundleReader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	out := r.rest[:n:n]
	r.rest = r.rest[n:]
	return out
}

func (r *bundleReader) fail() {
	if r.err == nil {
		r.err = errors.New("it ends too soon")
	}
}

// Shelves remember what was read last from bundles: lists and bulk work read their
// calls one after the other.
type shelves struct {
	calls shelf[bundle]
	log   shelf[[]row]
}

// A shelf holds bundles by number. It is safe for concurrent use, and so are the
// bundles, which nobody writes to.
type shelf[T any] struct {
	mu    sync.Mutex
	ids   []uint64 // the one used last is the last
	known map[uint64]T
}

const shelfSize = 4

// read returns a bundle, and has it decoded if it is not on the shelf.
func (s *shelf[T]) read(id uint64, decode func() (T, error)) (T, error) {
	if b, ok := s.get(id); ok {
		return b, nil
	}
	b, err := decode()
	if err != nil {
		return b, fmt.Errorf("bundle %d: %w", id, damaged(err))
	}
	s.put(id, b)
	return b, nil
}

func (s *shelf[T]) get(id uint64) (b T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok = s.known[id]; ok {
		i := slices.Index(s.ids, id)
		s.ids = append(slices.Delete(s.ids, i, i+1), id)
	}
	return b, ok
}

func (s *shelf[T]) put(id uint64, b T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.known[id]; ok {
		return
	}
	if s.known == nil {
		s.known = map[uint64]T{}
	}
	if len(s.ids) == shelfSize {
		delete(s.known, s.ids[0])
		s.ids = slices.Delete(s.ids, 0, 1)
	}
	s.ids = append(s.ids, id)
	s.known[id] = b
}

// bundle reads a bundle of calls.
func (t reader) bundle(id uint64) (bundle, error) {
	return t.shelves.calls.read(id, func() (bundle, error) {
		return decodeBundle(t.Bucket(bundleBucket).Get(key{}.uint64(id)))
	})
}
