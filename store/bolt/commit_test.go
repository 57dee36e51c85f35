package bolt

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestQueueWaitsForCompany(t *testing.T) {
	for _, tt := range []struct {
		name     string
		answered int
		waiting  int
		patience time.Duration
		adds     []time.Duration // when further writes come
		close    time.Duration   // when the queue is closed; 0 for never
		want     int
		after    time.Duration
	}{
		{name: "a lone sender waits for nobody", answered: 1, patience: 10, adds: []time.Duration{3, 4}, want: 1, after: 3},
		{name: "after start", patience: 10, adds: []time.Duration{3, 4}, want: 1, after: 3},
		{name: "all come back", answered: 3, patience: 10, adds: []time.Duration{2, 4, 6, 7}, want: 3, after: 6},
		{name: "with one that waited", answered: 2, waiting: 1, patience: 10, adds: []time.Duration{2, 4, 6}, want: 3, after: 4},
		{name: "not all come back", answered: 3, patience: 10, adds: []time.Duration{2, 4}, want: 2, after: 12},
		{name: "as many wait already", waiting: 3, patience: 10, want: 3},
		{name: "without patience", answered: 3, adds: []time.Duration{2, 4}, want: 1, after: 2},
		{name: "closed meanwhile", answered: 3, patience: 10, adds: []time.Duration{2}, close: 5, want: 1, after: 5},
		{name: "closed and empty", answered: 3, patience: 10, close: 5, want: 0, after: 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var q queue
				q.init()
				for range tt.waiting {
					q.add(&op{})
				}
				for _, at := range tt.adds {
					time.AfterFunc(at*time.Millisecond, func() { q.add(&op{}) })
				}
				if tt.close > 0 {
					close(q.finished)
					time.AfterFunc(tt.close*time.Millisecond, func() { q.close() })
				}
				start := time.Now()
				got := len(q.take(tt.answered, tt.patience*time.Millisecond))
				if took := time.Since(start); got != tt.want || took != tt.after*time.Millisecond {
					t.Errorf("took %d after %v, not %d after %v", got, took, tt.want, tt.after*time.Millisecond)
				}
				time.Sleep(time.Second) // a timer that is late disturbs nobody
				synctest.Wait()
			})
		})
	}
}
