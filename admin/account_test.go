package admin_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/julian"
)

func TestAdopt(t *testing.T) {
	w := newWorld(t)
	w.deliver(t, "call.1", julian.Voicemail)
	for name, c := range w.clients(t) {
		t.Run(name, func(t *testing.T) {
			var told []admin.Progress
			got, err := c.Reporting(func(p admin.Progress) { told = append(told, p) }).Adopt(t.Context(), "hubspot", "7")
			if err != nil || got.Account != "7" || got.Before != "4" || got.Calls != 1 {
				t.Errorf("%+v, %v", got, err)
			}
			if plan, err := c.AdoptPlan(t.Context(), "hubspot", "7"); err != nil || plan.Before != "4" || plan.Calls != 3 {
				t.Errorf("planned %+v, %v", plan, err)
			}
			if len(told) != 1 || told[0] != (admin.Progress{Calls: 1, Of: 1}) {
				t.Errorf("progress %+v", told)
			}
			for _, x := range []struct {
				destination, account string
				status               int
				code                 string
			}{
				{"hubspot", "8", http.StatusConflict, "other_account"},
				{"hubspot", "", http.StatusBadRequest, "invalid"},
				{"pipedrive", "7", http.StatusNotFound, "not_found"},
			} {
				_, err := c.Adopt(t.Context(), x.destination, x.account)
				var e *admin.Error
				if !errors.As(err, &e) || e.Status != x.status || e.Code != x.code {
					t.Errorf("%s, account %q: %v, want %d %s", x.destination, x.account, err, x.status, x.code)
				}
			}
			if _, err := c.Adopt(t.Context(), "hubspot", "8"); err == nil || !strings.Contains(err.Error(), "account 7, not for 8") {
				t.Errorf("the error names neither: %v", err)
			}
		})
	}
}
