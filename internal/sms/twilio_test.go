package sms_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"

	"gatehouse/internal/sms"
)

const account = "ACe7a1f0c2d4b6a8901234567890abcdef"

func twilio(t *testing.T, endpoint string) sms.Sender {
	t.Helper()
	return twilioFrom(t, endpoint, "+15005550006")
}

func twilioFrom(t *testing.T, endpoint, from string) sms.Sender {
	t.Helper()
	sender, err := sms.NewTwilio(sms.TwilioOptions{
		AccountSID: account, AuthToken: key, From: from, Text: "{code}, {minutes} min", Endpoint: endpoint,
	})
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

func TestTwilioSends(t *testing.T) {
	// The SDK would change its host by these.
	t.Setenv("TWILIO_REGION", "au1")
	t.Setenv("TWILIO_EDGE", "sydney")
	tests := []struct{ name, from, wantParameter string }{
		{"from a number", "+15005550006", "From"},
		{"from a messaging service", "MG9752274e9e519418a7406176694466fa", "MessagingServiceSid"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			testConcurrent(t, twilioFrom(t, start(t, func(w http.ResponseWriter, r *http.Request) {
				if user, password, ok := r.BasicAuth(); !ok || user != account || password != key {
					t.Errorf("authorized as %q with %q", user, password)
				}
				if want := "/2010-04-01/Accounts/" + account + "/Messages.json"; r.Method != http.MethodPost || r.URL.Path != want {
					t.Errorf("got %s %s, want %s", r.Method, r.URL.Path, want)
				}
				if err := r.ParseForm(); err != nil {
					t.Errorf("read the form: %v", err)
				}
				want := url.Values{"To": {phone}, "Body": {code + ", 5 min"}, tt.wantParameter: {tt.from}}
				if r.PostForm.Encode() != want.Encode() {
					t.Errorf("sent %v, want %v", r.PostForm, want)
				}
				w.WriteHeader(http.StatusCreated)
				io.WriteString(w, `{"sid":"SM1","status":"queued","error_code":null,"error_message":null,"to":"`+phone+`"}`)
			}), tt.from))
		})
	}
}

var twilioCodes = refusals{
	phone: []string{
		"21211", "21265", "21266", "21408", "21610", "21612", "21614", "21635", "30003", "30004", "30005", "30006",
	},
	limited: []string{"14107", "20429", "21611", "30001", "30022", "30023", "30027", "63017", "63038"},
	other:   []string{"20003", "21212", "21606", "21608", "21617", "21703", "30007", "30008"},
}

func TestTwilioRefusesTheRequest(t *testing.T) {
	twilioCodes.test(t, func(t *testing.T, refusal string) error {
		return twilio(t, start(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Twilio-Request-Id", "request-17")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"code":%s,"message":"no %s for %s","more_info":"https://www.twilio.com/docs/errors/%s","status":400}`, refusal, code, phone, refusal)
		})).Send(t.Context(), message)
	})
}

func TestTwilioFailsAtOnce(t *testing.T) {
	twilioCodes.test(t, func(t *testing.T, refusal string) error {
		return twilio(t, start(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Twilio-Request-Id", "request-17")
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"sid":"SM1","status":"failed","error_code":%s,"error_message":"no %s for %s"}`, refusal, code, phone)
		})).Send(t.Context(), message)
	})
}

func TestTwilioTrouble(t *testing.T) { testTrouble(t, twilio) }

func TestTwilioOptions(t *testing.T) {
	tests := []struct {
		name    string
		options sms.TwilioOptions
		want    string
	}{
		{"no sender", sms.TwilioOptions{AccountSID: account, AuthToken: key}, "From"},
		{"token with a blank", sms.TwilioOptions{AccountSID: account, AuthToken: key + " ", From: "+15005550006"}, "AuthToken"},
		{"text without the code", sms.TwilioOptions{AccountSID: account, AuthToken: key, From: "+15005550006", Text: "hello"}, "{code}"},
		{"endpoint", sms.TwilioOptions{AccountSID: account, AuthToken: key, From: "+15005550006", Endpoint: "://"}, "endpoint"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sms.NewTwilio(tt.options)
			checkOptions(t, err, tt.want)
		})
	}
}
