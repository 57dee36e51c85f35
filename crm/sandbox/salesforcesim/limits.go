package salesforcesim

import (
	"fmt"
	"net/http"
	"time"
)

// usage counts the API requests of the last 24 hours, by the minute.
type usage struct {
	minutes map[int64]int
}

func (u *usage) spent(now time.Time) int {
	n := 0
	for m, count := range u.minutes {
		if m <= now.Unix()/60-24*60 {
			delete(u.minutes, m)
			continue
		}
		n += count
	}
	return n
}

// spend counts one request against the daily limit, and tells the client how
// it stands as Sforce-Limit-Info does. A refused request costs nothing.
func (s *Server) spend(w http.ResponseWriter) *apiError {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	used := s.settings.DailyUsed + s.usage.spent(now)
	if used >= s.settings.DailyLimit {
		w.Header().Set("Sforce-Limit-Info", fmt.Sprintf("api-usage=%d/%d", used, s.settings.DailyLimit))
		return fail(http.StatusForbidden, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
	}
	if s.usage.minutes == nil {
		s.usage.minutes = map[int64]int{}
	}
	s.usage.minutes[now.Unix()/60]++
	w.Header().Set("Sforce-Limit-Info", fmt.Sprintf("api-usage=%d/%d", used+1, s.settings.DailyLimit))
	return nil
}

func (s *Server) limits(w http.ResponseWriter, _ *http.Request, _ *call, _ []string) {
	s.mu.Lock()
	left := s.settings.DailyLimit - s.settings.DailyUsed - s.usage.spent(s.Now())
	limit := s.settings.DailyLimit
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{
		"DailyApiRequests":         map[string]int{"Max": limit, "Remaining": left},
		"DailyBulkApiBatches":      map[string]int{"Max": 15000, "Remaining": 15000},
		"DataStorageMB":            map[string]int{"Max": 1024, "Remaining": 1000},
		"SingleEmail":              map[string]int{"Max": 5000, "Remaining": 5000},
		"DailyAsyncApexExecutions": map[string]int{"Max": 250000, "Remaining": 250000},
	})
}
