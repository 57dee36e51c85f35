package alert_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/callsync/callsync/alert"
)

func TestDialExplainsWithoutTheURL(t *testing.T) {
	for url, want := range map[string]string{
		"":                                  "is not a URL",
		"hooks.example/T0KEN-SECRET":        "is not a URL",
		"://T0KEN-SECRET":                   "is not a URL",
		"slak://hook:T0KEN-SECRET@webhook":  "names no service",
		"slack://hook:T0KEN-SECRET@webhook": "for slack",
		"telegram://T0KEN-SECRET@telegram":  "for telegram",
		"smtp://u:T0KEN-SECRET%zz@mail.example/?to=a@b.co": "is not a URL",
	} {
		_, err := alert.Dial(url)
		if err == nil {
			t.Errorf("%q was taken", url)
			continue
		}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v", url, err)
		}
	}
	for service, url := range map[string]string{
		"slack":    "slack://hook:T00000000-B00000000-XXXXXXXXXXXXXXXXXXXXXXXX@webhook",
		"smtp":     "smtp://user:password@mail.example:587/?from=callsync@example.com&to=ops@example.com",
		"ntfy":     "ntfy://ntfy.sh/topic",
		"telegram": "telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0@telegram?chats=-100",
		"discord":  "discord://token@1234",
	} {
		s, err := alert.Dial(url)
		if err != nil {
			t.Errorf("%s: %v", service, err)
		} else if s.Service() != service {
			t.Errorf("%s is called %s", service, s.Service())
		}
	}
}

func TestSendErrorsHoldNoSecret(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer refusing.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, base := range []string{refusing.URL, gone.URL} {
		s, err := alert.Dial("generic+" + base + "/hooks/T0KEN-SECRET?template=json&@Authorization=Bearer+S3CRET-TWO&key=S3CRET/three")
		if err != nil {
			t.Fatal(err)
		}
		err = s.Send(t.Context(), alert.Test("here"))
		if err == nil {
			t.Fatal("a failure passed for success")
		}
		for _, secret := range []string{"T0KEN", "S3CRET", "three"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error holds a secret: %v", err)
			}
		}
		if !strings.Contains(err.Error(), "refused") && !strings.Contains(err.Error(), "403") {
			t.Errorf("the error does not say why: %v", err)
		}
	}
}

// Whatever a URL is made of, and however the library repeats it.
func TestNoErrorHoldsAPartOfTheURL(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	rapid.Check(t, func(t *rapid.T) {
		token := rapid.StringMatching(`[A-Za-z0-9]{6,20}[ /+%&=?#@:é-]?[A-Za-z0-9]{6,20}`)
		path, query, header := token.Draw(t, "path"), token.Draw(t, "query"), token.Draw(t, "header")
		s, err := alert.Dial("generic+" + gone.URL + "/" + url.PathEscape(path) + "?key=" + url.QueryEscape(query) + "&@Token=" + url.QueryEscape(header))
		if err != nil {
			t.Fatal(err)
		}
		err = s.Send(context.Background(), alert.Test("here"))
		if err == nil {
			t.Fatal("a failure passed for success")
		}
		for _, secret := range []string{path, query, header} {
			for _, form := range []string{secret, url.PathEscape(secret), url.QueryEscape(secret)} {
				if strings.Contains(err.Error(), form) {
					t.Fatalf("%q is in: %v", form, err)
				}
			}
		}
	})
}

func TestSendEndsWithItsContext(t *testing.T) {
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hanging.Close()
	defer close(release)
	s, err := alert.Dial("generic+" + hanging.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Send(ctx, alert.Test("here")); err != context.Canceled {
		t.Error(err)
	}
}

// Services without a title get it in the text.
func TestTitles(t *testing.T) {
	var got map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&got)
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"timestamp":1}`))
	}))
	defer server.Close()
	s, err := alert.Dial("signal://" + strings.TrimPrefix(server.URL, "http://") + "/+15550100/+15550101?disabletls=yes")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), alert.Message{Title: "the title", Body: "the body"}); err != nil {
		t.Fatal(err)
	}
	if got["message"] != "the title\n\nthe body" {
		t.Errorf("got %v", got)
	}
}
