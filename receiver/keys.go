package receiver

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
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

const maxRequestID = 128

// requestID is the sender's or a proxy's X-Request-Id when it is harmless, else
// a new one.
func requestID(header http.Header) string {
	id := header.Get("X-Request-Id")
	if id != "" && len(id) <= maxRequestID && !strings.ContainsFunc(id, unfitForID) {
		return id
	}
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func unfitForID(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.:/+=", r)
}
