package sms

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	twilio "github.com/twilio/twilio-go/client"
	twilioapi "github.com/twilio/twilio-go/rest/api/v2010"
)

// twilioRefusals are the codes of Twilio's messages that are about the phone or a limit.
var twilioRefusals = map[string]error{
	"21211": ErrPhone, // not a valid number
	"21265": ErrPhone, // a short code
	"21266": ErrPhone, // our own number
	"21408": ErrPhone, // a region that the account does not serve
	"21610": ErrPhone, // unsubscribed
	"21612": ErrPhone, // not reachable from our number
	"21614": ErrPhone, // not a mobile number
	"21635": ErrPhone, // a landline
	"30003": ErrPhone, // unreachable handset
	"30004": ErrPhone, // blocked
	"30005": ErrPhone, // unknown handset
	"30006": ErrPhone, // a landline or an unreachable carrier

	"14107": ErrLimited, // too many messages to one number
	"20429": ErrLimited, // too many requests
	"21611": ErrLimited, // our number's queue is full
	"30001": ErrLimited, // the queue overflows
	"30022": ErrLimited, // the carrier's rate for the sender
	"30023": ErrLimited, // the carrier's cap for the day
	"30027": ErrLimited, // T-Mobile's cap for the day
	"63017": ErrLimited, // the account's rate
	"63038": ErrLimited, // the account's messages of the day
}

const (
	twilioAddress = "https://api.twilio.com" // which the SDK has built in
	twilioText    = "{code} is your verification code. It is valid for {minutes} minutes."
)

// twilioCredential is what the SDK takes for an account or a token.
var twilioCredential = regexp.MustCompile(`^[a-zA-Z0-9]+$`)

// TwilioOptions are what Twilio's console shows of an account and a number.
type TwilioOptions struct {
	AccountSID, AuthToken string
	From                  string // a number like +15005550006, or a messaging service's SID, which starts with MG
	Text                  string // with {code} and {minutes}; English where empty
	Endpoint              string // https://api.twilio.com where empty
}

// Twilio sends through Twilio's messages.
type Twilio struct {
	options  TwilioOptions
	endpoint *url.URL
}

// NewTwilio returns a sender through Twilio, or an error that says which option to mend.
func NewTwilio(options TwilioOptions) (*Twilio, error) {
	err := require("twilio", map[string]string{
		"AccountSID": options.AccountSID, "AuthToken": options.AuthToken, "From": options.From,
	})
	if err != nil {
		return nil, err
	}
	if !twilioCredential.MatchString(options.AccountSID) || !twilioCredential.MatchString(options.AuthToken) {
		return nil, errors.New("sms by twilio: AccountSID and AuthToken must be letters and digits, as the console shows them")
	}
	options.Text = cmp.Or(options.Text, twilioText)
	if !strings.Contains(options.Text, "{code}") {
		return nil, errors.New("sms by twilio: Text must hold {code}, where the code belongs")
	}
	endpoint, err := parseEndpoint(options.Endpoint, twilioAddress)
	if err != nil {
		return nil, err
	}
	return &Twilio{options: options, endpoint: endpoint}, nil
}

// Send sends the message with the API Messages of 2010-04-01.
func (t *Twilio) Send(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	exchange := &exchange{ctx: ctx}

	message := &twilioapi.CreateMessageParams{}
	message.SetTo(m.Phone).SetBody(m.fill(t.options.Text))
	if strings.HasPrefix(t.options.From, "MG") {
		message.SetMessagingServiceSid(t.options.From)
	} else {
		message.SetFrom(t.options.From)
	}
	_, _ = t.api(exchange).CreateMessage(message) // the exchange knows better
	return twilioResult(exchange)
}

// api returns the SDK's client for one message, without what NewRequestHandler would read of the environment.
func (t *Twilio) api(exchange *exchange) *twilioapi.ApiService {
	client := &twilio.Client{
		Credentials: twilio.NewCredentials(t.options.AccountSID, t.options.AuthToken),
		HTTPClient:  &http.Client{Transport: exchange},
	}
	client.SetAccountSid(t.options.AccountSID)
	return twilioapi.NewApiService(&twilio.RequestHandler{Client: twilioClient{client, t.endpoint}})
}

// twilioClient is the SDK's client, which sends to our endpoint.
type twilioClient struct {
	*twilio.Client
	endpoint *url.URL
}

func (c twilioClient) SendRequest(method, address string, data url.Values, headers map[string]any, body ...byte) (*http.Response, error) {
	path := strings.TrimPrefix(address, twilioAddress)
	return c.Client.SendRequest(method, c.endpoint.Scheme+"://"+c.endpoint.Host+path, data, headers, body...)
}

func twilioResult(exchange *exchange) error {
	var answer struct {
		SID       string `json:"sid"`
		ErrorCode int    `json:"error_code"` // of a message that failed at once
		Code      int    `json:"code"`       // of a request that was refused
	}
	if err := exchange.decode("twilio", &answer); err != nil {
		return err
	}
	if code := cmp.Or(answer.Code, answer.ErrorCode); code != 0 {
		return refusal("twilio", strconv.Itoa(code), exchange.header.Get("Twilio-Request-Id"), twilioRefusals)
	}
	if exchange.status != http.StatusCreated || answer.SID == "" {
		return exchange.strange("twilio")
	}
	return nil
}
