// Package receiver is the webhook: the one door through which Julian's calls
// come in.
//
// It answers 2xx only for what the journal has on disk, and it judges nothing
// but the envelope: the key, the size, and that the body is a JSON object with
// a callId. What the call means is for others, later. No CRM, mapping or
// metrics library is known here, and no request waits for one.
//
// # Answers
//
//	200  accepted, revised, duplicate or stale: {"status":"accepted","callId":"…"}
//	400  MALFORMED (no JSON object), NO_CALL_ID, INCOMPLETE (the sender hung up)
//	401  UNAUTHORIZED: no key or a wrong one, told before the body is read
//	404  another path, a slash at its end aside
//	405  not POST
//	408  TIMEOUT: the body came too slowly
//	413  TOO_LARGE             415  not JSON, or an encoding other than gzip
//	431  HEADER_TOO_LARGE
//	503  UNAVAILABLE, with Retry-After: the journal cannot be written
//
// Errors have the form {"error":"CODE","message":"…"}. Every answer carries the
// request's id in X-Request-Id.
//
// # The delivery log
//
// Every POST to the path becomes a row, refused ones too, with the body as far
// as it was read so that nothing an authorized sender sent is lost. Without a
// key a sender can neither store a body nor fill the disk with rows: the first
// [unauthorizedBurst] are logged, then one each [unauthorizedEvery], which says
// how many were left out. [Options.Observe] sees each of them.
//
// What never reaches the webhook, with a 404, 405 or 431, makes no row at all: it
// is a [Miss], which Observe sees, and the log tells of once a minute. A header so
// large that net/http refuses it unread is not seen here.
package receiver

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"github.com/callsync/callsync/julian"
	"github.com/callsync/callsync/store"
)

// tracer records nothing unless the process has set a provider.
var tracer = otel.Tracer("github.com/callsync/callsync/receiver")

const (
	unauthorizedBurst = 1000
	unauthorizedEvery = 10 * time.Second

	// deliverTimeout bounds the wait for the journal.
	deliverTimeout = 20 * time.Second
	// drain is how long a refused sender's body is still taken in, so that the
	// answer is not lost in a reset.
	drain = 250 * time.Millisecond
	// retryAfter is the Retry-After of a 503, in seconds.
	retryAfter = "5"
)

// Options configure a [Receiver]. Zero values mean the defaults named.
type Options struct {
	Path        string        // "/webhooks/julian"; with and without a slash at its end
	Keys        []string      // see SetKeys; with none, every request is unauthorized
	MaxBody     int64         // bytes, also after decompression; 10 MiB
	BodyTimeout time.Duration // for a body to arrive whole; 30 s

	Logger  *slog.Logger      // nothing is logged without one
	Observe func(Observation) // called after each answer, concurrently
	Now     func() time.Time  // time.Now
}

// An Observation is what is worth counting about one request.
type Observation struct {
	Verdict store.Verdict // "" when nothing was recorded: 503 and misses
	Status  int           // HTTP
	Bytes   int           // of the body, as far as it was read
	Elapsed time.Duration // from the header's arrival to the answer
	Miss    *Miss         // nil when the request reached the webhook
}

// A Receiver is the webhook's [http.Handler].
type Receiver struct {
	inbox store.Inbox
	o     Options
	log   *slog.Logger
	keys  atomic.Pointer[keySet]

	unauthorized *rate.Limiter
	unlogged     atomic.Int64 // unauthorized requests since the last one logged
	missed       missLog
}

// New returns a Receiver that delivers into inbox.
func New(inbox store.Inbox, o Options) *Receiver {
	if o.Path == "" {
		o.Path = "/webhooks/julian"
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 10 << 20
	}
	if o.BodyTimeout <= 0 {
		o.BodyTimeout = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Observe == nil {
		o.Observe = func(Observation) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Receiver{
		inbox:        inbox,
		o:            o,
		log:          o.Logger,
		unauthorized: rate.NewLimiter(rate.Every(unauthorizedEvery), unauthorizedBurst),
	}
	h.SetKeys(o.Keys)
	return h
}

// SetKeys replaces the accepted keys; requests under way keep the old ones.
// Empty keys are left out, so that a missing header never matches.
func (h *Receiver) SetKeys(keys []string) { h.keys.Store(newKeySet(keys)) }

// ServeHTTP implements [http.Handler].
func (h *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.o.Now()
	id := requestID(r.Header)
	w.Header().Set("X-Request-Id", id)
	ctx, span := tracer.Start(r.Context(), "receive", trace.WithSpanKind(trace.SpanKindServer))
	defer span.End()

	if span.IsRecording() { // else it would be a copy of the request for nobody
		r = r.WithContext(ctx)
	}
	a, d := h.handle(w, r, start, id)
	if span.IsRecording() {
		span.SetAttributes(attribute.String("callsync.request_id", id), attribute.String("callsync.call_id", d.CallID),
			attribute.String("callsync.verdict", string(d.Verdict)), attribute.Int("http.response.status_code", a.status))
	}
	a.unread = a.unread && r.ContentLength != 0
	if a.unread {
		// net/http drains what it can of the body before it closes the
		// connection; a slow sender must not hold it for that.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(drain))
	}
	a.write(w)
	h.o.Observe(Observation{
		Verdict: d.Verdict,
		Status:  a.status,
		Bytes:   d.Size,
		Elapsed: h.o.Now().Sub(start),
		Miss:    h.miss(r, a, start),
	})
}

// handle decides the answer. The delivery it returns has no verdict when the
// request was none.
func (h *Receiver) handle(w http.ResponseWriter, r *http.Request, start time.Time, id string) (answer, store.Delivery) {
	switch {
	case tooMuch(r.Header):
		return answerHeader, store.Delivery{}
	case !samePath(r.URL.Path, h.o.Path):
		return answerNotFound, store.Delivery{}
	case r.Method != http.MethodPost:
		return answerMethod, store.Delivery{}
	}
	// What lies below a millisecond would only be digits, in every row and list.
	d := store.Delivery{At: start.Truncate(time.Millisecond), Peer: peer(r), RequestID: id}
	if !h.keys.Load().has(r.Header.Get("X-Api-Key")) {
		return h.refuseUnauthorized(r.Context(), d)
	}
	body, refusal := h.readBody(w, r)
	d.Body, d.Size = body, len(body)
	if refusal != nil {
		return h.refuse(r.Context(), d, *refusal)
	}
	call, hash, err := julian.Receive(body)
	switch {
	case errors.Is(err, julian.ErrNoCallID):
		return h.refuse(r.Context(), d, answerNoCallID.because(err))
	case err != nil:
		return h.refuse(r.Context(), d, answerMalformed.because(err))
	}
	d.Hash = hash
	return h.accept(r.Context(), d, call)
}

// accept journals a call and answers what the journal made of it.
func (h *Receiver) accept(ctx context.Context, d store.Delivery, call *julian.Call) (answer, store.Delivery) {
	d.Status = http.StatusOK
	d.Verdict = store.Accepted
	d.CallID = call.CallID
	d.Call = call
	receipt, err := h.deliver(ctx, d)
	if err != nil {
		h.log.LogAttrs(ctx, slog.LevelError, "delivery not journalled; the sender is asked to try again",
			slog.String("callId", d.CallID), slog.String("requestId", d.RequestID), slog.Any("error", err))
		return answerUnavailable, store.Delivery{Size: d.Size}
	}
	d.Verdict = receipt.Verdict
	attrs := []slog.Attr{
		slog.String("callId", d.CallID), slog.String("verdict", string(d.Verdict)),
		slog.Int("revision", receipt.Revision), slog.Int("bytes", d.Size),
		slog.Int("warnings", len(call.Warnings)), slog.String("requestId", d.RequestID),
	}
	if receipt.Reason != "" {
		attrs = append(attrs, slog.String("reason", receipt.Reason))
	}
	h.log.LogAttrs(ctx, slog.LevelInfo, "delivery", attrs...)
	return answerVerdict(d.Verdict, d.CallID), d
}

// refuse logs a delivery as rejected. Failing to do so changes nothing for the
// sender, whose delivery is not accepted either way.
func (h *Receiver) refuse(ctx context.Context, d store.Delivery, a answer) (answer, store.Delivery) {
	d.Verdict = store.Rejected
	d.Status = a.status
	if d.Reason == "" {
		d.Reason = a.message
	}
	if _, err := h.deliver(ctx, d); err != nil {
		h.log.LogAttrs(ctx, slog.LevelError, "rejected delivery not journalled",
			slog.String("requestId", d.RequestID), slog.Any("error", err))
	}
	h.log.LogAttrs(ctx, slog.LevelWarn, "delivery rejected",
		slog.Int("status", a.status), slog.String("code", a.code), slog.Int("bytes", d.Size),
		slog.String("peer", d.Peer), slog.String("requestId", d.RequestID))
	return a, d
}

func (h *Receiver) refuseUnauthorized(ctx context.Context, d store.Delivery) (answer, store.Delivery) {
	if !h.unauthorized.AllowN(d.At, 1) {
		h.unlogged.Add(1)
		d.Verdict = store.Rejected
		return answerUnauthorized, d
	}
	d.Reason = reasonUnauthorized(h.unlogged.Swap(0))
	return h.refuse(ctx, d, answerUnauthorized)
}

// reasonUnauthorized is what the row of an unauthorized request says.
func reasonUnauthorized(unlogged int64) string {
	if unlogged == 0 {
		return "no key or a wrong one"
	}
	return fmt.Sprintf("no key or a wrong one; %d more before it were not recorded", unlogged)
}

// deliver hands a delivery to the journal even when its sender has hung up: it
// arrived whole, and the sender may never come back.
func (h *Receiver) deliver(ctx context.Context, d store.Delivery) (store.Receipt, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deliverTimeout)
	defer cancel()
	return h.inbox.Deliver(ctx, d)
}

func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
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
