package main

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"unicode"

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
		a.out.f("%s %s\n", styled{"in force now:", green}, what)
	}
	for _, what := range answer.Restart {
		a.out.f("%s %s\n", styled{"needs a restart:", yellow}, what)
	}
	for _, what := range answer.Refused {
		a.out.f("%s %s\n", styled{"refused:", red}, what)
	}
	switch {
	case len(answer.Refused) > 0:
		return errSilent
	case len(answer.Applied)+len(answer.Restart) == 0:
		a.out.f("nothing has changed; a mapping file is taken up as soon as it is saved\n")
	case len(answer.Restart) > 0:
		a.out.f("until then the daemon goes on with what it had\n")
	}
	return nil
}

// Reload reads the configuration and the mapping files again and applies what can
// change while the daemon runs; the rest is named. A file that cannot be used
// changes nothing. Mappings and certificates are followed without it.
func (d *daemon) Reload(log *slog.Logger) (admin.Reloaded, error) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	fresh, err := loadConfig(d.cfg.File, checkAlertURLs)
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
	d.reloadMappings(&changed)
	for _, dest := range d.parts.destinations {
		dest.loop.Ask()
	}
	log.Info("configuration reloaded", "applied", strings.Join(changed.Applied, ", "), "needsRestart", strings.Join(changed.Restart, ", "))
	return changed, nil
}

// reloadMappings does not wait for the watch to notice, nor for a refusal by the
// account to be old enough to ask again.
func (d *daemon) reloadMappings(changed *admin.Reloaded) {
	for _, dest := range d.parts.destinations {
		l := dest.mapping
		if l.destination.Mapping == "" {
			continue
		}
		l.forgetRefusal()
		applied := l.reloadAndTell(context.Background(), d.parts.api.Metrics.MappingReloaded)
		info := l.info()
		if applied {
			changed.Applied = append(changed.Applied, fmt.Sprintf("[destinations.%s] mapping, version %s", dest.Name, info.Version))
		}
		if info.Problem != "" {
			changed.Refused = append(changed.Refused, fmt.Sprintf("[destinations.%s] mapping, version %s stays in force: %s", dest.Name, info.Version, info.Problem))
		}
	}
}

// stale names the tables of the configuration file that differ from what the
// daemon runs with. A file that cannot be used differs as a whole.
func (d *daemon) stale() []string {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	fresh, err := loadConfig(d.cfg.File, checkAlertURLs)
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

// differences names the tables, and the keys in them, that differ in what needs
// a restart.
func differences(old, fresh *config.Config) []string {
	names := []string{}
	add := func(name string, a, b any) {
		if keys := changedKeys(a, b); len(keys) > 0 {
			names = append(names, name+" "+strings.Join(keys, ", "))
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

// changedKeys names the keys of a table in which two of its values differ.
func changedKeys(a, b any) []string {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	var keys []string
	for i := range x.NumField() {
		if !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			keys = append(keys, keyOf(x.Type().Field(i).Name))
		}
	}
	return keys
}

// keyOf is how the configuration file writes a field's name: "api_keys" for
// APIKeys, "oauth" for OAuth.
func keyOf(field string) string {
	runes := []rune(strings.NewReplacer("OAuth", "Oauth", "URLs", "Urls").Replace(field))
	var key strings.Builder
	for i, r := range runes {
		begins := unicode.IsUpper(r) && i > 0 &&
			(unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if begins {
			key.WriteByte('_')
		}
		key.WriteRune(unicode.ToLower(r))
	}
	return key.String()
}
