package bolt

import (
	"bytes"

	"github.com/callsync/callsync/store"
)

// The index by kind lets a list filtered by agent or result read only calls that
// match, however rare they are. Agents and results are few, so one index serves
// both: a filter by one of them walks the kinds that have it side by side. A kind
// is an agent with a result, and goes by a number.

func kindName(agent, result string) key { return key{}.text(agent).text(result) }

// kindKey is where the call at a place stands in the index by kind; ok is false
// when no call of its kind was ever kept.
func (t reader) kindKey(c *store.Call, place key) (k key, ok bool) {
	number := t.Bucket(kindNameBucket).Get(kindName(c.AgentID, string(c.ResultType)))
	return append(append(make(key, 0, len(number)+len(place)), number...), place...), number != nil
}

// fileKind enters a call in the index by kind.
func (t *tx) fileKind(c *store.Call, place key) error {
	k, ok := t.kindKey(c, place)
	if !ok {
		names := t.Bucket(kindNameBucket)
		n, err := names.NextSequence()
		if err != nil {
			return err
		}
		number := key{}.uint32(uint32(n))
		if err := names.Put(kindName(c.AgentID, string(c.ResultType)), number); err != nil {
			return err
		}
		k = append(number, place...)
	}
	return t.growing(kindBucket).Put(k, nil)
}

// unfileKind takes a call out of the index by kind.
func (t *tx) unfileKind(c *store.Call, place key) error {
	k, ok := t.kindKey(c, place)
	if !ok {
		return nil
	}
	return t.Bucket(kindBucket).Delete(k)
}

// byKind reports whether the index by kind narrows a filter down better than the
// one by status: most calls are synced or skipped, few are anything else.
func byKind(f store.CallFilter) bool {
	common := f.Status == "" || f.Status == store.Synced || f.Status == store.Skipped
	return common && (f.Agent != "" || f.Result != "")
}

// kindWalkers returns a walker for every kind that the filter admits. Its cost
// follows the number of kinds.
func kindWalkers(t reader, f store.CallFilter, below []byte) []*backward {
	var within key
	if f.Agent != "" {
		within = within.text(f.Agent)
	}
	var walkers []*backward
	c := t.Bucket(kindNameBucket).Cursor()
	for k, number := c.Seek(within); k != nil && bytes.HasPrefix(k, within); k, number = c.Next() {
		r := keyReader(k)
		r.text()
		if f.Result == "" || r.text() == string(f.Result) {
			walkers = append(walkers, newBackward(t.Bucket(kindBucket), number, below))
		}
	}
	return walkers
}
