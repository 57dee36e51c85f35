package main

import (
	"context"
	"log/slog"
	"reflect"
	"strings"

	"github.com/callsync/callsync/admin"
	"github.com/callsync/callsync/config"
)

type reloadCmd struct{ output }

func (c *reloadCmd) Run(ctx context.Context, a *app) error {
	s, err := a.connect(ctx, false)
	if err != nil {
		return err
	}
	defer s.close()
	answer, err := s.Reload(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return a.out.json(answer)
	}
	for _, what := range answer.Applied {
		a.out.f("applied: %s\n", what)
	}
	for _, what := range answer.Restart {
		a.out.f("%s %s\n", styled{"needs a restart:", yellow}, what)
	}
	if len(answer.Applied)+len(answer.Restart) == 0 {
		a.out.f("nothing has changed\n")
	}
	return nil
}

// Reload reads the configuration again and applies what can change while the
// daemon runs; the rest is named. A file that cannot be used changes nothing.
// Mappings and certificates are followed without it.
func (d *daemon) Reload(log *slog.Logger) (admin.Reloaded, error) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	fresh, err := config.Load(d.cfg.File, checkAlertURLs)
	if err != nil {
		log.Error("the configuration cannot be used; nothing was changed", "error", err)
		return admin.Reloaded{}, err
	}
	changed := admin.Reloaded{Applied: []string{}, Restart: differences(d.cfg, fresh)}
	if !reflect.DeepEqual(d.cfg.Receiver.APIKeys, fresh.Receiver.APIKeys) {
		d.receiver.SetKeys(revealed(fresh.Receiver.APIKeys))
		next := *d.cfg
		next.Receiver.APIKeys = fresh.Receiver.APIKeys
		d.cfg = &next
		changed.Applied = append(changed.Applied, "[receiver] api_keys")
	}
	if !reflect.DeepEqual(d.cfg.Alerts, fresh.Alerts) {
		settings, err := alertSettings(fresh.Alerts)
		if err != nil {
			return admin.Reloaded{}, err
		}
		d.alerts.Set(settings)
		next := *d.cfg
		next.Alerts = fresh.Alerts
		d.cfg = &next
		changed.Applied = append(changed.Applied, "[alerts]")
	}
	log.Info("configuration reloaded", "applied", strings.Join(changed.Applied, ", "), "needsRestart", strings.Join(changed.Restart, ", "))
	return changed, nil
}

// stale names the tables of the configuration file that differ from what the
// daemon runs with. A file that cannot be used differs as a whole.
func (d *daemon) stale() []string {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	fresh, err := config.Load(d.cfg.File, checkAlertURLs)
	if err != nil {
		return []string{d.cfg.File + " (it cannot be used as it is)"}
	}
	names := differences(d.cfg, fresh)
	if !reflect.DeepEqual(d.cfg.Receiver.APIKeys, fresh.Receiver.APIKeys) {
		names = append(names, "[receiver] api_keys")
	}
	if !reflect.DeepEqual(d.cfg.Alerts, fresh.Alerts) {
		names = append(names, "[alerts]")
	}
	return names
}

// differences names the tables that differ in what needs a restart.
func differences(old, fresh *config.Config) []string {
	names := []string{}
	add := func(name string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			names = append(names, name)
		}
	}
	was, is := old.Receiver, fresh.Receiver
	was.APIKeys, is.APIKeys = nil, nil
	add("[receiver]", was, is)
	add("[store]", old.Store, fresh.Store)
	add("[retention]", old.Retention, fresh.Retention)
	add("[admin]", old.Admin, fresh.Admin)
	add("[julian]", old.Julian, fresh.Julian)
	for _, name := range old.Names() {
		d, ok := fresh.Destinations[name]
		if !ok {
			names = append(names, "[destinations."+name+"] was taken away")
			continue
		}
		add("[destinations."+name+"]", old.Destinations[name], d)
	}
	for _, name := range fresh.Names() {
		if _, ok := old.Destinations[name]; !ok {
			names = append(names, "[destinations."+name+"] is new")
		}
	}
	return names
}
