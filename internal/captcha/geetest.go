package captcha

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// geetestRefused are the error codes of GeeTest that are about the visitor's response. The others are
// about our id or the provider. Its answers write them with a minus.
var geetestRefused = []string{
	"50002", // parameters that cannot be decrypted
	"50003", // verified before
	"50005", // a time that is no number
	"50301", // a lot number that is unknown or forgotten
	"50302", // no lot number
	"50303", // no lot number that it made
	"50304", // somebody else's lot number
	"50305", // an old lot number
	"50306", // no process token that it made
	"50307", // no payload that it made
	"50308", // an old payload
}

// Geetest asks GeeTest, version 4.
type Geetest struct {
	options Options
}

// NewGeetest returns a verifier by GeeTest, or an error that says which option to mend.
func NewGeetest(options Options) (*Geetest, error) {
	if options.SiteKey == "" || options.Secret == "" {
		return nil, errors.New("geetest needs the id and the key that its dashboard shows")
	}
	address, err := parseURL(options.URL, "https://gcaptcha4.geetest.com/validate")
	if err != nil {
		return nil, err
	}
	options.URL = address
	return &Geetest{options: options}, nil
}

// geetestResponse is what getValidate of the script gives to the page.
type geetestResponse struct {
	LotNumber string `json:"lot_number"`
	Output    string `json:"captcha_output"`
	PassToken string `json:"pass_token"`
	GenTime   string `json:"gen_time"`
}

// Verify asks GeeTest about a response, which is the JSON of getValidate's result. GeeTest knows the
// visitor's address itself.
func (g *Geetest) Verify(ctx context.Context, response string, _ netip.Addr) error {
	if err := readable(response); err != nil {
		return err
	}
	var r geetestResponse
	if json.Unmarshal([]byte(response), &r) != nil || r.LotNumber == "" || r.Output == "" || r.PassToken == "" || r.GenTime == "" {
		return fmt.Errorf("%w: it is not what getValidate returns", ErrRefused)
	}
	form := url.Values{
		"captcha_id":     {g.options.SiteKey},
		"lot_number":     {r.LotNumber},
		"captcha_output": {r.Output},
		"pass_token":     {r.PassToken},
		"gen_time":       {r.GenTime},
		"sign_token":     {g.sign(r.LotNumber)},
	}
	if err := g.ask(ctx, form); err != nil {
		return fmt.Errorf("ask geetest about a response: %w", err)
	}
	return nil
}

func (g *Geetest) sign(lotNumber string) string {
	mac := hmac.New(sha256.New, []byte(g.options.Secret))
	mac.Write([]byte(lotNumber))
	return hex.EncodeToString(mac.Sum(nil))
}

func (g *Geetest) ask(ctx context.Context, form url.Values) error {
	var answer struct {
		Status string `json:"status"`
		Code   string `json:"code"`
		Result string `json:"result"`
		Reason string `json:"reason"`
	}
	status, err := post(ctx, g.options.URL, form, &answer)
	if err != nil {
		return err
	}
	switch {
	case status != http.StatusOK:
		return fmt.Errorf("it answered HTTP %d", status)
	case answer.Result == "success":
		return nil
	case answer.Result == "fail" && strings.Contains(answer.Reason, "sign_token"): // which visitors don't make
		return errors.New("it refuses our signature; check the key")
	case answer.Result == "fail":
		return fmt.Errorf("%w: %q", ErrRefused, answer.Reason)
	case slices.Contains(geetestRefused, strings.TrimPrefix(answer.Code, "-")):
		return fmt.Errorf("%w with %s", ErrRefused, answer.Code)
	case answer.Status == "error":
		return errors.New("it refuses our request with " + answer.Code)
	default:
		return errors.New("its answer is not of its API")
	}
}
