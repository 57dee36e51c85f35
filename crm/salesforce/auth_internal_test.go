package salesforce

import "testing"

func TestAudienceIsTheLoginHostThatServesTheOrg(t *testing.T) {
	for login, want := range map[string]string{
		"":                               "https://login.salesforce.com",
		"https://login.salesforce.com":   "https://login.salesforce.com",
		"https://test.salesforce.com/":   "https://test.salesforce.com",
		"https://acme.my.salesforce.com": "https://login.salesforce.com",
		"https://acme--uat.sandbox.my.salesforce.com":   "https://test.salesforce.com",
		"https://login.salesforce.com.attacker.example": "https://login.salesforce.com.attacker.example",
		"http://127.0.0.1:8080":                         "http://127.0.0.1:8080",
	} {
		if got := audience(login); got != want {
			t.Errorf("audience(%q) = %q, want %q", login, got, want)
		}
	}
}
