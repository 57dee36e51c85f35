package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/alert"
	"github.com/callsync/callsync/config"
	"github.com/callsync/callsync/crm"
)

// checkAlertURLs lets the configuration's reader judge alert URLs, so that a
// wrong one is reported with its line and column.
var checkAlertURLs = config.WithAlertURLs(func(url string) error {
	_, err := alert.Dial(url)
	return err
})

// alertSettings is what [alerts] asks for.
func alertSettings(c config.Alerts) (alert.Settings, error) {
	s := alert.Settings{
		Wait: c.GroupWait, Interval: c.GroupInterval, Repeat: c.RepeatInterval,
		Limits: alert.Limits{OldestUnsynced: c.OldestUnsynced, DiskFree: c.DiskFree},
	}
	for i, u := range c.URLs {
		to, err := alert.Dial(u.Reveal())
		if err != nil {
			return alert.Settings{}, usagef("alerts.urls[%d]: %w", i, err)
		}
		s.To = append(s.To, to)
	}
	return s, nil
}

// newAlerts returns the engine that watches a daemon.
func newAlerts(c config.Alerts, api *admin.Server, memory alert.Memory, metrics *admin.Metrics, log *slog.Logger) (*alert.Engine, error) {
	settings, err := alertSettings(c)
	if err != nil {
		return nil, err
	}
	return alert.New(alert.Options{
		Settings: settings, Source: api.Vitals, Memory: memory, Host: hostName(), Logger: log, Observe: metrics.Alert,
	}), nil
}

// hostName is how messages name this machine.
func hostName() string {
	name, _ := os.Hostname()
	return cmp.Or(name, "this machine")
}

// testAlerts sends a test to everybody who would be told.
func testAlerts(ctx context.Context, c config.Alerts) []checked {
	say := func(ok bool, text string) checked {
		return checked{"alerts", crm.Finding{Name: "alert", OK: ok, Text: text}}
	}
	settings, err := alertSettings(c)
	if err != nil {
		return []checked{say(false, err.Error())}
	}
	if len(settings.To) == 0 {
		return []checked{say(false, "there is nobody to tell: [alerts] has no urls")}
	}
	var found []checked
	for i, to := range settings.To {
		name := fmt.Sprintf("urls[%d] (%s)", i, to.Service())
		if err := to.Send(ctx, alert.Test(hostName())); err != nil {
			found = append(found, say(false, name+": the test was not sent: "+err.Error()))
			continue
		}
		found = append(found, say(true, name+": a test was sent; see whether it arrived"))
	}
	return found
}
