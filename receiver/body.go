package receiver

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// firstRead is how much is allocated on a sender's word; beyond it the buffer
// grows with what really arrives.
const firstRead = 64 << 10

// quarantine bounds what is kept of a body that is too large.
const quarantine = 256 << 10

// readBody reads a body whole, decompressed, within the time and size allowed.
// A refusal comes with what was read until then.
func (h *Receiver) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *answer) {
	if r.ContentLength > h.o.MaxBody {
		a := answerTooLarge(h.o.MaxBody)
		return nil, &a
	}
	// The deadlines fail only under a server that has none.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(h.o.BodyTimeout))
	body, err := h.inflate(w, r)
	if err == nil {
		// While the journal commits, nothing is read; a deadline left in place
		// would look like a sender that hung up.
		_ = control.SetReadDeadline(time.Time{})
	}
	if a := h.judge(r.Header, body, err); a != nil {
		return body[:min(len(body), h.keep(a))], a
	}
	return body, nil
}

// keep is how many bytes of a refused body are worth keeping.
func (h *Receiver) keep(a *answer) int {
	if a.status == http.StatusRequestEntityTooLarge {
		return quarantine
	}
	return int(h.o.MaxBody)
}

var errEncoding = errors.New("unknown content encoding")

// inflate returns up to one byte more than is allowed. The limit holds for what
// is sent and for what comes of it, so that neither a bomb nor a stream that
// inflates to nothing costs more than a plain body.
func (h *Receiver) inflate(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	wire := http.MaxBytesReader(w, r.Body, h.o.MaxBody)
	size := min(max(r.ContentLength, 512), firstRead)
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
		if r.ContentLength == size { // as nearly all are: no more is needed
			body := make([]byte, size)
			n, err := io.ReadFull(wire, body)
			return body[:n], err
		}
		return readAll(wire, size)
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(wire)
		if err != nil {
			return nil, err
		}
		return readAll(io.LimitReader(z, h.o.MaxBody+1), 4*size)
	default:
		body, err := readAll(wire, size)
		return body, errors.Join(errEncoding, err)
	}
}

func readAll(r io.Reader, size int64) ([]byte, error) {
	buf := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	_, err := buf.ReadFrom(r)
	return buf.Bytes(), err
}

// judge says what is wrong with a body as read, nil when nothing is.
func (h *Receiver) judge(header http.Header, body []byte, err error) *answer {
	if err == nil && int64(len(body)) <= h.o.MaxBody && isJSON(header.Get("Content-Type")) {
		return nil
	}
	var tooLarge *http.MaxBytesError
	var corrupt flate.CorruptInputError
	var a answer
	switch {
	case isTimeout(err):
		a = answerTimeout
	case errors.As(err, &tooLarge), int64(len(body)) > h.o.MaxBody:
		a = answerTooLarge(h.o.MaxBody)
	case errors.Is(err, errEncoding):
		a = answerEncoding
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		a = answerBadGzip
	case err != nil:
		a = answerIncomplete
	default:
		a = answerMediaType
	}
	return &a
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	t, params, err := mime.ParseMediaType(contentType)
	if err != nil || t != "application/json" {
		return false
	}
	charset, ok := params["charset"]
	return !ok || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}

// isTimeout reports whether a read ended because of its deadline.
func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
