package main

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// startTracing sends spans of deliveries, rounds and requests to CRMs to the
// OTLP endpoint that OpenTelemetry's own variables name
// (OTEL_EXPORTER_OTLP_ENDPOINT and its kin; OpenTelemetry, "OTLP Exporter
// Configuration"), by HTTP. Without an endpoint nothing is recorded. stop sends
// what is left.
func startTracing(ctx context.Context, log *slog.Logger) (stop func(), err error) {
	if cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")) == "" {
		return func() {}, nil
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, usagef("traces: %w", err)
	}
	b := build()
	about, err := resource.Merge(resource.NewSchemaless(
		attribute.String("service.name", "callsync"), attribute.String("service.version", b.Version),
	), resource.Environment()) // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES outrank ours
	if err != nil {
		return nil, usagef("traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	otel.SetTracerProvider(provider)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("traces are not taken", "error", err)
	}))
	log.Info("traces are sent by OTLP")
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.Warn("the last traces were not taken", "error", err)
		}
	}, nil
}
