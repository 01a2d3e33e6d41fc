package main

import (
	"fmt"
	"log/slog"
	"time"

	"gatehouse/internal/captcha"
	"gatehouse/internal/config"
	"gatehouse/internal/logging"
	"gatehouse/internal/sms"
	"gatehouse/internal/verify"
)

// devCode is the verification code that development mode accepts from everyone.
const devCode = "123456"

// newCodes makes the service of verification codes as the options say how they are sent and guarded.
func (a *app) newCodes(secret secret, logs *logging.Logs) (*verify.Service, error) {
	log := logs.Module(logging.Account)
	key, err := secret.key("verification codes")
	if err != nil {
		return nil, err
	}
	sender, err := newSender(a.options.Codes, log)
	if err != nil {
		return nil, err
	}
	if a.options.Mode == config.Production && a.options.SMS == config.SMSLog {
		log.Warn("verification codes go into the log (--sms log): whoever reads it can log in as anybody")
	}
	asker, err := newCaptcha(a.options.Codes)
	if err != nil {
		return nil, err
	}
	fixed, err := testPhones(a.options.TestPhone)
	if err != nil {
		return nil, err
	}
	options := verify.Options{
		Database: a.database, Sender: sender, Captcha: asker, Logger: log, Now: time.Now, Key: key,
		Fixed: fixed, FormOnly: a.options.SMS == config.SMSNone, Prefixes: texts(a.options.SMSPrefix), Budgets: a.budgets(),
	}
	if a.options.SMS == config.SMSDev {
		options.AnyPhone = devCode
	}
	return verify.New(options), nil
}

// newSender returns the sender of codes; none where they are not sent.
func newSender(o config.Codes, log *slog.Logger) (sms.Sender, error) {
	secret, endpoint := string(o.SMSKeySecret), string(o.SMSEndpoint)
	switch o.SMS {
	case config.SMSWebhook:
		return sms.NewWebhook(sms.WebhookOptions{URL: endpoint, Secret: secret})
	case config.SMSTencent:
		return sms.NewTencent(sms.TencentOptions{
			SecretID: o.SMSKeyID, SecretKey: secret, AppID: o.SMSApp, SignName: o.SMSSign, TemplateID: o.SMSTemplate,
			Region: o.SMSRegion, Endpoint: endpoint,
		})
	case config.SMSAliyun:
		return sms.NewAliyun(sms.AliyunOptions{
			AccessKeyID: o.SMSKeyID, AccessKeySecret: secret, SignName: o.SMSSign, TemplateCode: o.SMSTemplate,
			Region: o.SMSRegion, Endpoint: endpoint,
		})
	case config.SMSTwilio:
		return sms.NewTwilio(sms.TwilioOptions{
			AccountSID: o.SMSKeyID, AuthToken: secret, From: o.SMSSign, Text: o.SMSTemplate, Endpoint: endpoint,
		})
	default: // dev and log show the code; none never sends one
		return sms.NewLog(log), nil
	}
}

// newCaptcha returns who tells people from programs, or nil.
func newCaptcha(o config.Codes) (captcha.Verifier, error) {
	options := captcha.Options{SiteKey: o.CaptchaID, Secret: string(o.CaptchaSecret), URL: string(o.CaptchaEndpoint)}
	switch o.Captcha {
	case config.CaptchaTurnstile:
		return captcha.NewTurnstile(options)
	case config.CaptchaHCaptcha:
		return captcha.NewHCaptcha(options)
	case config.CaptchaGeetest:
		return captcha.NewGeetest(options)
	case config.CaptchaWebhook:
		return captcha.NewWebhook(options)
	default:
		return nil, nil
	}
}

// testPhones are the phones in E.164 that take a code of their own.
func testPhones(configured []config.TestPhone) (map[string]string, error) {
	fixed := make(map[string]string, len(configured))
	for _, test := range configured {
		phone, err := verify.ParsePhone(test.Phone)
		if err != nil {
			return nil, fmt.Errorf("--test-phone %s: not a valid phone number", test.Phone)
		}
		fixed[phone] = string(test.Code)
	}
	return fixed, nil
}

// budgets are none where codes cost nothing.
func (a *app) budgets() verify.Budgets {
	if a.options.SMS == config.SMSDev {
		return verify.NoBudgets()
	}
	o := a.options.Codes
	return verify.Budgets{
		Phone: orUnlimited(o.SMSBudgetPhone), Address: orUnlimited(o.SMSBudgetAddress), Range: orUnlimited(o.SMSBudgetRange),
		Server: orUnlimited(o.SMSBudgetDay), Breaker: verify.DefaultBudgets().Breaker,
	}
}

func orUnlimited(budget int) int {
	if budget == 0 {
		return verify.Unlimited
	}
	return budget
}

func texts[T ~string](configured []T) []string {
	out := make([]string, len(configured))
	for i, value := range configured {
		out[i] = string(value)
	}
	return out
}
