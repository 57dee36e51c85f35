package bolt

import (
	"bytes"

	"github.com/callsync/callsync/store"
)

// The index by kind lets a list filtered by agent or result read only calls that
// match, however rare they are. Agents and results are few, so one index serves
// both: a filter by one of them walks the kinds that have it side by side.

func kindPrefix(agent, result string) key { return key{}.text(agent).text(result) }

// kindKey is where the call at a place stands in the index by kind.
func kindKey(c *store.Call, place key) key {
	return append(kindPrefix(c.AgentID, string(c.ResultType)), place...)
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
	b := t.Bucket(kindBucket)
	var within key
	if f.Agent != "" {
		within = within.text(f.Agent)
	}
	var walkers []*backward
	c := b.Cursor()
	for k, _ := c.Seek(within); k != nil && bytes.HasPrefix(k, within); {
		r := keyReader(k)
		agent, result := r.text(), r.text()
		prefix := kindPrefix(agent, result)
		if f.Result == "" || result == string(f.Result) {
			walkers = append(walkers, newBackward(b, prefix, below))
		}
		next := after(prefix)
		if next == nil {
			break
		}
		k, _ = c.Seek(next)
	}
	return walkers
}
