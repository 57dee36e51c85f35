package receiver

import (
	"crypto/sha256"
	"crypto/subtle"
)

// A keySet compares a key with all accepted ones in a time that depends on
// neither of them: digests have one length.
type keySet struct{ digests [][sha256.Size]byte }

func newKeySet(keys []string) *keySet {
	s := &keySet{}
	for _, k := range keys {
		if k != "" {
			s.digests = append(s.digests, sha256.Sum256([]byte(k)))
		}
	}
	return s
}

func (s *keySet) has(key string) bool {
	digest := sha256.Sum256([]byte(key))
	found := 0
	for i := range s.digests {
		found |= subtle.ConstantTimeCompare(digest[:], s.digests[i][:])
	}
	return found == 1
}
