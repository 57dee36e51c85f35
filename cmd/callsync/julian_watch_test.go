package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsync/callsync/julian"
)

// 11x is asked at the start and now and again; what changes is said once.
func TestJulianWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer atomic.Pointer[error]
		var asked atomic.Int64
		var log bytes.Buffer
		w := &julianWatch{
			ask: func(context.Context) error { asked.Add(1); return *answer.Load() },
			log: slog.New(slog.NewTextHandler(&log, nil)),
		}
		if s := w.now(); s.OK || !s.Asked.IsZero() {
			t.Errorf("before the first answer: %+v", s)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		for _, x := range []struct {
			answer error
			pass   time.Duration
			asked  int64
			ok     bool
			said   string
		}{
			{nil, 0, 1, true, "11x takes the api_key"},
			{nil, 3 * time.Hour, 3, true, ""},
			{fmt.Errorf("check: %w", julian.ErrUnauthorized), time.Hour, 1, false, "11x refuses the api_key"},
			{fmt.Errorf("check: %w", julian.ErrUnauthorized), time.Hour, 12, false, ""},
			{nil, 5 * time.Minute, 1, true, "11x takes the api_key"},
			{errors.New("no route to host"), time.Hour, 1, false, "REST API cannot be used now"},
			{nil, 5 * time.Minute, 1, true, "11x takes the api_key"},
		} {
			answer.Store(&x.answer)
			before := asked.Load()
			if before == 0 {
				go func() { defer close(done); w.run(ctx) }()
			}
			time.Sleep(x.pass)
			synctest.Wait()
			if n := asked.Load() - before; n != x.asked {
				t.Errorf("%v: asked %d times in %s, not %d", x.answer, n, x.pass, x.asked)
			}
			s := w.now()
			if s.OK != x.ok || (s.Problem == "") != x.ok || time.Since(s.Asked) > time.Minute {
				t.Errorf("%v: the status is %+v", x.answer, s)
			}
			if said := log.String(); !strings.Contains(said, x.said) || x.said == "" && said != "" || strings.Count(said, "\n") > 1 {
				t.Errorf("%v: the log has %q, not %q", x.answer, said, x.said)
			}
			log.Reset()
		}
		// The end is no failure.
		cancel()
		<-done
		if !w.now().OK {
			t.Error("the end passed for a failure")
		}
	})
}
