package receiver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/callsync/callsync/store"
)

// An answer is what the sender is told.
type answer struct {
	status  int
	code    string // of an error
	message string // of an error
	verdict store.Verdict
	callID  string
	// unread means that a body, if there is one, was not read to its end; the
	// connection is closed rather than reading on.
	unread bool
}

var (
	answerNotFound     = answer{status: http.StatusNotFound, code: "NOT_FOUND", message: "there is nothing here", unread: true}
	answerMethod       = answer{status: http.StatusMethodNotAllowed, code: "METHOD_NOT_ALLOWED", message: "send a POST", unread: true}
	answerHeader       = answer{status: http.StatusRequestHeaderFieldsTooLarge, code: "HEADER_TOO_LARGE", message: fmt.Sprintf("a request may have %d header fields, %d bytes in all", maxHeaders, maxHeaderBytes), unread: true}
	answerUnauthorized = answer{status: http.StatusUnauthorized, code: "UNAUTHORIZED", message: "unauthorized", unread: true}
	answerMalformed    = answer{status: http.StatusBadRequest, code: "MALFORMED"}
	answerBadGzip      = answer{status: http.StatusBadRequest, code: "MALFORMED", message: "the body is not valid gzip", unread: true}
	answerNoCallID     = answer{status: http.StatusBadRequest, code: "NO_CALL_ID"}
	answerIncomplete   = answer{status: http.StatusBadRequest, code: "INCOMPLETE", message: "the body ended early", unread: true}
	answerTimeout      = answer{status: http.StatusRequestTimeout, code: "TIMEOUT", message: "the body came too slowly", unread: true}
	answerMediaType    = answer{status: http.StatusUnsupportedMediaType, code: "UNSUPPORTED_MEDIA_TYPE", message: "send application/json in UTF-8"}
	answerEncoding     = answer{status: http.StatusUnsupportedMediaType, code: "UNSUPPORTED_MEDIA_TYPE", message: "Content-Encoding may be gzip or absent"}
	answerUnavailable  = answer{status: http.StatusServiceUnavailable, code: "UNAVAILABLE", message: "the delivery could not be recorded; send it again"}
)

func answerTooLarge(limit int64) answer {
	return answer{
		status: http.StatusRequestEntityTooLarge, code: "TOO_LARGE", unread: true,
		message: fmt.Sprintf("the body may have %d bytes", limit),
	}
}

func answerVerdict(v store.Verdict, callID string) answer {
	return answer{status: http.StatusOK, verdict: v, callID: callID}
}

func (a answer) because(err error) answer {
	a.message = err.Error()
	return a
}

func (a answer) write(w http.ResponseWriter) {
	var body []byte
	if a.status == http.StatusOK {
		body, _ = json.Marshal(struct {
			Status store.Verdict `json:"status"`
			CallID string        `json:"callId"`
		}{a.verdict, a.callID})
	} else {
		body, _ = json.Marshal(struct {
			Error   string `json:"error"`
			Message string `json:"message"`
		}{a.code, a.message})
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if a.unread {
		h.Set("Connection", "close")
	}
	switch a.status {
	case http.StatusMethodNotAllowed:
		h.Set("Allow", http.MethodPost)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(body) // a sender that has gone away needs no answer
}
