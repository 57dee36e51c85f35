package admin

import (
	"fmt"
	"io"
	"net/http"
	"sync"
)

// A handlerTransport answers requests by calling a handler. The body streams:
// the handler runs while the caller reads.
type handlerTransport struct{ h http.Handler }

func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	served := r
	if r.Body == nil { // a handler may read it all the same
		served = r.WithContext(r.Context())
		served.Body = http.NoBody
	}
	pr, pw := io.Pipe()
	w := &pipeWriter{header: http.Header{}, body: pw, started: make(chan struct{})}
	trailer := http.Header{} // complete once the body has ended
	go func() {
		defer func() {
			if p := recover(); p != nil {
				// Like a server, which breaks the connection.
				pw.CloseWithError(fmt.Errorf("the answer broke off: %v", p))
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			w.WriteHeader(http.StatusOK)
			for _, name := range w.sent.Values("Trailer") {
				trailer[name] = w.header.Values(name)
			}
			pw.Close()
		}()
		t.h.ServeHTTP(w, served)
	}()
	select {
	case <-w.started:
	case <-r.Context().Done():
		pr.CloseWithError(r.Context().Err())
		return nil, r.Context().Err()
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: pr, ContentLength: -1, Trailer: trailer, Request: r,
	}, nil
}

// A pipeWriter is the handler's end of a response.
type pipeWriter struct {
	header  http.Header
	body    *io.PipeWriter
	once    sync.Once
	started chan struct{}
	// status and sent are set before started is closed.
	status int
	sent   http.Header
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.started)
	})
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}
