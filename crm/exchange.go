package crm

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// tracer records nothing unless the process has set a provider.
var tracer = otel.Tracer("github.com/callsync/callsync/crm")

// An Exchange is one request to a CRM and how it went.
type Exchange struct {
	Operation string // as the connector names it: "contacts batch create"
	Status    int    // HTTP; 0 when there was no answer
	Took      time.Duration
}

type contextKey int

const (
	operationKey contextKey = iota
	requestIDKey
)

// WithOperation names the operation that requests made with the context carry
// out. A connector says so for each of its requests.
func WithOperation(ctx context.Context, operation string) context.Context {
	return context.WithValue(ctx, operationKey, operation)
}

// WithRequestID marks what is done with the context, through logs and requests.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey, id)
}

// RequestID is the mark that [WithRequestID] left, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey).(string)
	return id
}

// Observe returns a transport that sends requests through base, passes a request
// id on in the header X-Request-Id, and tells observe, unless it is nil, of each
// request; each is a span of its own, too. A nil base means [http.DefaultTransport].
func Observe(base http.RoundTripper, observe func(context.Context, Exchange)) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	if observe == nil {
		observe = func(context.Context, Exchange) {}
	}
	return observed{base, observe}
}

type observed struct {
	base    http.RoundTripper
	observe func(context.Context, Exchange)
}

func (o observed) RoundTrip(r *http.Request) (*http.Response, error) {
	if id := RequestID(r.Context()); id != "" && r.Header.Get("X-Request-Id") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("X-Request-Id", id)
	}
	x := Exchange{Operation: "other"}
	if op, ok := r.Context().Value(operationKey).(string); ok {
		x.Operation = op
	}
	ctx, span := tracer.Start(r.Context(), x.Operation, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("server.address", r.URL.Hostname())))
	defer span.End()
	start := time.Now()
	resp, err := o.base.RoundTrip(r)
	x.Took = time.Since(start)
	if err == nil {
		x.Status = resp.StatusCode
		span.SetAttributes(attribute.Int("http.response.status_code", x.Status))
	}
	if err != nil || x.Status >= 400 {
		span.SetStatus(codes.Error, "") // an error's text may name an address with its query
	}
	o.observe(ctx, x)
	return resp, err
}
