package sms

import (
	"cmp"
	"context"
	"fmt"
	"net/url"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	tencenthttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
)

// tencentRefusals are the codes of SendSms that are about the phone or a limit, "UnsuportedRegion" as
// Tencent spells it.
var tencentRefusals = map[string]error{
	"FailedOperation.PhoneNumberInBlacklist":      ErrPhone,
	"InvalidParameterValue.IncorrectPhoneNumber":  ErrPhone,
	"LimitExceeded.AppCountryOrRegionInBlacklist": ErrPhone,
	"UnsupportedOperation.UnsuportedRegion":       ErrPhone,

	"LimitExceeded": ErrLimited,
	"LimitExceeded.AppCountryOrRegionDailyLimit":        ErrLimited,
	"LimitExceeded.AppDailyLimit":                       ErrLimited,
	"LimitExceeded.AppGlobalDailyLimit":                 ErrLimited,
	"LimitExceeded.AppMainlandChinaDailyLimit":          ErrLimited,
	"LimitExceeded.DailyLimit":                          ErrLimited,
	"LimitExceeded.DeliveryFrequencyLimit":              ErrLimited,
	"LimitExceeded.PhoneNumberDailyLimit":               ErrLimited,
	"LimitExceeded.PhoneNumberOneHourLimit":             ErrLimited,
	"LimitExceeded.PhoneNumberSameContentDailyLimit":    ErrLimited,
	"LimitExceeded.PhoneNumberThirtySecondLimit":        ErrLimited,
	"RequestLimitExceeded":                              ErrLimited,
	"RequestLimitExceeded.GlobalRegionUinLimitExceeded": ErrLimited,
	"RequestLimitExceeded.IPLimitExceeded":              ErrLimited,
	"RequestLimitExceeded.UinLimitExceeded":             ErrLimited,
}

// TencentOptions are what Tencent Cloud's console shows of an account, an app, a signature and a template.
type TencentOptions struct {
	SecretID, SecretKey string
	AppID               string // SdkAppId
	SignName            string // needed for phones of mainland China
	TemplateID          string
	TemplateParams      []string // what {1}, {2}, … of the template stand for, with {code} and {minutes}; {code} alone where empty
	Region              string   // ap-guangzhou where empty
	Endpoint            string   // https://sms.tencentcloudapi.com where empty
}

// Tencent sends through Tencent Cloud's SMS.
type Tencent struct {
	options  TencentOptions
	endpoint *url.URL
}

// NewTencent returns a sender through Tencent Cloud, or an error that says which option to mend.
func NewTencent(options TencentOptions) (*Tencent, error) {
	err := require("tencent", map[string]string{
		"SecretID": options.SecretID, "SecretKey": options.SecretKey,
		"AppID": options.AppID, "TemplateID": options.TemplateID,
	})
	if err != nil {
		return nil, err
	}
	endpoint, err := parseEndpoint(options.Endpoint, "https://sms.tencentcloudapi.com")
	if err != nil {
		return nil, err
	}
	options.Region = cmp.Or(options.Region, "ap-guangzhou")
	if len(options.TemplateParams) == 0 {
		options.TemplateParams = []string{"{code}"}
	}
	return &Tencent{options: options, endpoint: endpoint}, nil
}

// Send sends the message with the API SendSms of 2021-01-11.
func (t *Tencent) Send(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	exchange := &exchange{ctx: ctx}

	request := tencenthttp.NewCommonRequest("sms", "2021-01-11", "SendSms")
	if err := request.SetActionParameters(t.parameters(m)); err != nil {
		return fmt.Errorf("make tencent's request: %T", err)
	}
	_ = t.client(exchange).Send(request, tencenthttp.NewCommonResponse()) // the exchange knows better
	return tencentResult(exchange)
}

func (t *Tencent) parameters(m Message) map[string]any {
	params := make([]string, len(t.options.TemplateParams))
	for i, param := range t.options.TemplateParams {
		params[i] = m.fill(param)
	}
	return map[string]any{
		"PhoneNumberSet":   []string{m.Phone},
		"SmsSdkAppId":      t.options.AppID,
		"SignName":         t.options.SignName,
		"TemplateId":       t.options.TemplateID,
		"TemplateParamSet": params,
	}
}

// client returns the SDK's client for one request. It has no state that is worth keeping: connections are
// the transport's.
func (t *Tencent) client(exchange *exchange) *common.Client {
	settings := profile.NewClientProfile()
	settings.HttpProfile.Scheme = t.endpoint.Scheme
	settings.HttpProfile.Endpoint = t.endpoint.Host
	settings.DisableRegionBreaker = true // it would send codes to another endpoint than the operator's
	credential := common.NewCredential(t.options.SecretID, t.options.SecretKey)
	return common.NewCommonClient(credential, t.options.Region, settings).WithHttpTransport(exchange)
}

func tencentResult(exchange *exchange) error {
	var answer struct {
		Response struct {
			Error         struct{ Code string }
			SendStatusSet []struct{ Code string }
			RequestID     string `json:"RequestId"`
		}
	}
	if err := exchange.decode("tencent", &answer); err != nil {
		return err
	}
	response := answer.Response
	code := response.Error.Code
	if code == "" && len(response.SendStatusSet) == 1 {
		code = response.SendStatusSet[0].Code
	}
	switch code {
	case "Ok":
		return nil
	case "":
		return exchange.strange("tencent")
	default:
		return refusal("tencent", code, response.RequestID, tencentRefusals)
	}
}
