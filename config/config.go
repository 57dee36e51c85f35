// Package config reads config.toml: what callsync listens on, where the journal
// is, and which CRMs it keeps true.
//
// A file is read as a whole and every problem in it is reported at once, with
// its line and column. Unknown keys are errors, so that a misspelt setting is
// never silently a default. Secrets never leave a [Secret] by accident: it
// prints as "***", and no error quotes a value that could be one.
//
// Nothing here opens a network connection, the journal or a mapping file.
package config

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/callsync/callsync/internal/spelling"
)

// A Config is one configuration file, with defaults filled in, relative paths
// made relative to the file's folder, and secrets read.
type Config struct {
	File         string // the path that was loaded
	Receiver     Receiver
	Store        Store
	Retention    Retention
	Admin        Admin
	Julian       Julian
	Alerts       Alerts
	Destinations map[string]Destination // by name; see Names for an order
	// Warnings are what a person should know although the file is usable, such
	// as "config.toml:3:1: …".
	Warnings []string
}

// Names lists the destinations in alphabetical order.
func (c *Config) Names() []string { return slices.Sorted(maps.Keys(c.Destinations)) }

// A Receiver is the webhook's listener.
type Receiver struct {
	Listen  string // host:port
	Path    string // starts with a slash
	APIKeys []Secret
	MaxBody int64 // bytes

	TLSCert string // file; "" means plain HTTP
	TLSKey  string

	HeaderTimeout time.Duration // for the header of a request
	BodyTimeout   time.Duration // for the body of a request
	IdleTimeout   time.Duration // between requests of one connection
}

// A Store is the journal.
type Store struct {
	Path string
}

// Retention is for how long the daemon keeps what it no longer needs; 0 is for
// ever. What has not been synced is kept in any case.
type Retention struct {
	Bodies     time.Duration // of calls, since their newest revision
	Deliveries time.Duration // rows of the log of deliveries, and refused bodies
}

// An Admin is the daemon's local API.
type Admin struct {
	Listen string // "unix:/path" or host:port
	Token  Secret // needed for TCP; a unix socket is protected by its file mode
}

// Address splits Listen into what [net.Listen] and [net.Dial] want.
func (a Admin) Address() (network, address string) {
	if path, ok := strings.CutPrefix(a.Listen, "unix:"); ok {
		return "unix", path
	}
	return "tcp", a.Listen
}

// A Julian is the upstream's REST API.
type Julian struct {
	BaseURL string // without a trailing slash
	APIKey  Secret // empty when not configured
}

// Alerts say whom to tell of problems, and when.
type Alerts struct {
	URLs []Secret // as shoutrrr writes them; none: nobody is told
	// GroupWait is how long a problem must last before it is told, GroupInterval
	// the least time between two messages, RepeatInterval when a lasting problem
	// is told again.
	GroupWait, GroupInterval, RepeatInterval time.Duration
	OldestUnsynced                           time.Duration // a call that is on its way for longer is a problem
	DiskFree                                 int64         // bytes; less beside the journal is a problem
}

// A Destination is one CRM account. Zero numbers, durations and addresses mean
// the connector's own default.
type Destination struct {
	Name        string
	Type        string // a connector's name: "hubspot", "salesforce"
	Mapping     string // file; "" means the shipped one
	BaseURL     string // without a trailing slash
	LoginURL    string
	AccessToken Secret
	OAuth       *OAuth // nil when the file has no oauth table
	// TokenFile is where `callsync login` keeps the token it obtained.
	TokenFile string
	API       string // path family or version: "2026-03", "v66.0"
	// AutoSetup lets `callsync serve` create callsync's properties in the CRM.
	AutoSetup       bool
	SearchLag       time.Duration
	RatePerSecond   float64
	SearchPerSecond float64
	QuotaShare      float64 // 0 to 1
	BatchSize       int
	Region          string         // ISO 3166, upper case
	Options         map[string]any // for the mapping: string, bool, int64 or float64
}

// OAuth is a destination's oauth table.
type OAuth struct {
	ClientID     string
	ClientSecret Secret
	Username     string
	KeyFile      string
	PrivateKey   Secret // what KeyFile holds, PEM
	RedirectURL  string
	Scopes       []string
}

// An Option changes how [Load] reads a file.
type Option func(*document)

// WithoutSecrets leaves secrets unread: environment, key files and credentials
// may be missing. It is for commands that work offline; the Secrets of the
// result are empty.
func WithoutSecrets() Option { return func(d *document) { d.offline = true } }

// WithTypes makes it an error when a destination's type is none of these.
func WithTypes(types []string) Option { return func(d *document) { d.types = types } }

// WithAlertURLs makes it an error when check refuses one of the alerts' URLs. Its
// error must not hold the URL.
func WithAlertURLs(check func(url string) error) Option {
	return func(d *document) { d.checkAlertURL = check }
}

// Load reads the file at path. The error is a *[Error] that lists everything
// that is wrong with it, or the failure to read it.
func Load(path string, options ...Option) (*Config, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d := &document{file: path, dir: filepath.Dir(path)}
	for _, o := range options {
		o(d)
	}
	c, err := parse(d, source)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		for _, key := range d.literals {
			d.warn(key, "a secret stands in a file that others may read: chmod 600 it, or write env:, file: or cred:")
		}
	}
	c.Warnings = d.warnings
	return c, nil
}

func parse(d *document, source []byte) (*Config, error) {
	root, ok := d.decode(source)
	if !ok {
		return nil, d.err()
	}
	c := &Config{File: d.file, Destinations: map[string]Destination{}}
	readReceiver(root.table("receiver"), &c.Receiver)
	store := root.table("store")
	c.Store.Path = store.path("path", "callsync.db")
	store.finish()
	retention := root.table("retention")
	c.Retention.Bodies = retention.duration("bodies", 0, day, century)
	c.Retention.Deliveries = retention.duration("deliveries", 0, day, century)
	retention.finish()
	readAdmin(root.table("admin"), &c.Admin)
	julian := root.table("julian")
	c.Julian.BaseURL = julian.address("base_url", "https://julian.11x.ai/api/v1")
	c.Julian.APIKey = julian.secret("api_key")
	julian.finish()
	readAlerts(root.table("alerts"), &c.Alerts)

	destinations := root.table("destinations")
	for _, name := range destinations.keys() {
		c.Destinations[name] = readDestination(destinations.table(name), name, c.Store.Path)
	}
	if len(c.Destinations) == 0 {
		d.warn(root.at(), "no [destinations.…] table: calls are journalled and go nowhere")
	}
	root.finish()
	return c, d.err()
}

const (
	day     = 24 * time.Hour
	century = 36525 * day
)

func readReceiver(s section, r *Receiver) {
	r.Listen = s.listen("listen", "127.0.0.1:8080")
	r.Path = s.str("path", "/webhooks/julian")
	if !validPath(r.Path) {
		s.problem("path", `must be a path such as "/webhooks/julian", without query, spaces, braces or ".."`)
	}
	r.APIKeys = s.secrets("api_keys")
	if len(r.APIKeys) == 0 && !s.failed("api_keys") {
		s.problem("api_keys", `at least one key is needed: api_keys = ["env:JULIAN_API_KEY"]`)
	}
	r.MaxBody = s.size("max_body", 10<<20, 1<<10, 1<<30)
	r.TLSCert = s.path("tls_cert", "")
	r.TLSKey = s.path("tls_key", "")
	if (r.TLSCert == "") != (r.TLSKey == "") {
		key := "tls_cert"
		if r.TLSCert == "" {
			key = "tls_key"
		}
		s.problem(key, "tls_cert and tls_key only work together")
	}
	r.HeaderTimeout = s.duration("header_timeout", 10*time.Second, time.Second, time.Hour)
	r.BodyTimeout = s.duration("body_timeout", 30*time.Second, time.Second, time.Hour)
	r.IdleTimeout = s.duration("idle_timeout", 2*time.Minute, time.Second, time.Hour)
	s.finish()
}

func validPath(p string) bool {
	u, err := url.Parse(p)
	return err == nil && strings.HasPrefix(p, "/") && !strings.HasPrefix(p, "//") &&
		u.RawQuery == "" && u.Fragment == "" && !strings.ContainsAny(p, " {}?#") &&
		!slices.Contains(strings.Split(p, "/"), "..")
}

func readAdmin(s section, a *Admin) {
	a.Listen = s.str("listen", "unix:callsync.sock")
	if path, ok := strings.CutPrefix(a.Listen, "unix:"); ok {
		if path == "" {
			s.problem("listen", `needs a path: "unix:callsync.sock"`)
		}
		a.Listen = "unix:" + s.d.relative(path)
	} else if !s.failed("listen") {
		s.listen("listen", "")
	}
	a.Token = s.secret("token")
	if network, _ := a.Address(); network == "tcp" && !s.has("token") {
		s.problem("listen", `a TCP address needs a token: token = "env:CALLSYNC_ADMIN_TOKEN"`)
	}
	s.finish()
}

func readAlerts(s section, a *Alerts) {
	a.URLs = s.secrets("urls")
	for i, u := range a.URLs {
		if s.d.checkAlertURL == nil || u.IsZero() {
			continue
		}
		if err := s.d.checkAlertURL(u.Reveal()); err != nil {
			s.d.report(s.at("urls", fmt.Sprintf("[%d]", i)), err.Error())
		}
	}
	a.GroupWait = s.duration("group_wait", 30*time.Second, 0, time.Hour)
	a.GroupInterval = s.duration("group_interval", 5*time.Minute, 0, 24*time.Hour)
	a.RepeatInterval = s.duration("repeat_interval", 24*time.Hour, time.Minute, 30*24*time.Hour)
	a.OldestUnsynced = s.duration("oldest_unsynced", 15*time.Minute, time.Second, 30*24*time.Hour)
	a.DiskFree = s.size("disk_free", 1<<30, 1<<20, 1<<50)
	s.finish()
}

func readDestination(s section, name, storePath string) Destination {
	if !validName(name) {
		s.problem("", "a destination's name is made of a-z, 0-9, - and _, 40 characters at most")
	}
	d := Destination{
		Name:            name,
		Type:            s.str("type", ""),
		Mapping:         s.path("mapping", ""),
		BaseURL:         s.address("base_url", ""),
		LoginURL:        s.address("login_url", ""),
		AccessToken:     s.secret("access_token"),
		TokenFile:       s.path("token_file", ""),
		API:             s.str("api", ""),
		AutoSetup:       s.boolean("auto_setup"),
		SearchLag:       s.duration("search_lag", 0, 0, 24*time.Hour),
		RatePerSecond:   s.number("rate_per_second", 0, 10000),
		SearchPerSecond: s.number("search_per_second", 0, 10000),
		QuotaShare:      s.number("quota_share", 0, 1),
		BatchSize:       s.integer("batch_size", 0, 1000),
		Region:          strings.ToUpper(s.str("region", "")),
		Options:         s.scalars("options"),
	}
	checkType(s, d.Type)
	if d.Region != "" && !isCountry(d.Region) {
		s.problem("region", `must be a two-letter country such as "US" or "GB"`)
	}
	if d.TokenFile == "" {
		d.TokenFile = tokenFile(storePath, name)
	}
	if oauth := s.table("oauth"); oauth.m != nil {
		d.OAuth = readOAuth(oauth)
		if s.has("access_token") {
			s.problem("access_token", "access_token and an oauth table exclude each other; keep one")
		}
	}
	s.finish()
	return d
}

func checkType(s section, name string) {
	known := s.d.types
	switch {
	case s.failed("type"):
	case name == "":
		s.problem("type", `is missing: type = "hubspot" or "salesforce"`)
	case known != nil && !slices.Contains(known, name):
		text := fmt.Sprintf("there is no connector %q", name)
		if near := spelling.Nearest(name, known); near != "" {
			text += fmt.Sprintf("; did you mean %q?", near)
		}
		s.problem("type", text)
	}
}

func readOAuth(s section) *OAuth {
	o := &OAuth{
		ClientID:     s.str("client_id", ""),
		ClientSecret: s.secret("client_secret"),
		Username:     s.str("username", ""),
		KeyFile:      s.path("key_file", ""),
		RedirectURL:  s.str("redirect_url", ""),
		Scopes:       s.strings("scopes"),
	}
	if o.KeyFile != "" && !s.d.offline {
		pem, err := os.ReadFile(o.KeyFile)
		if err != nil {
			s.problem("key_file", "cannot be read: "+reason(err))
		}
		o.PrivateKey = NewSecret(string(pem))
	}
	if o.ClientID == "" && !s.failed("client_id") {
		s.problem("client_id", "is missing")
	}
	if o.RedirectURL != "" {
		if u, err := url.Parse(o.RedirectURL); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			s.problem("redirect_url", `must be an address such as "http://127.0.0.1:8484/callback"`)
		}
	}
	s.finish()
	return o
}

// tokenFile is callsync.hubspot.token for callsync.db and hubspot.
func tokenFile(storePath, name string) string {
	return strings.TrimSuffix(storePath, filepath.Ext(storePath)) + "." + name + ".token"
}

func validName(s string) bool {
	return s != "" && len(s) <= 40 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

func isCountry(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

// Loopback reports whether host, without a port, can only be this machine.
func Loopback(host string) bool {
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
