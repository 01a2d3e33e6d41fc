package sms

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	openapiutil "github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	"github.com/alibabacloud-go/tea/dara"
)

// aliyunRefusals are the codes of SendSms that are about the phone or a limit. Those of Throttling are
// the gateway's.
var aliyunRefusals = map[string]error{
	"isv.BLACK_KEY_CONTROL_LIMIT":       ErrPhone,
	"isv.DOMESTIC_NUMBER_NOT_SUPPORTED": ErrPhone,
	"isv.MOBILE_NUMBER_ILLEGAL":         ErrPhone,

	"isv.BUSINESS_LIMIT_CONTROL": ErrLimited,
	"isv.DAY_LIMIT_CONTROL":      ErrLimited,
	"isv.MONTH_LIMIT_CONTROL":    ErrLimited,
	"Throttling":                 ErrLimited,
	"Throttling.Api":             ErrLimited,
	"Throttling.User":            ErrLimited,
}

// AliyunOptions are what Alibaba Cloud's console shows of an account, a signature and a template, whose
// one variable is ${code}.
type AliyunOptions struct {
	AccessKeyID, AccessKeySecret string
	SignName, TemplateCode       string
	Region                       string // cn-hangzhou where empty
	Endpoint                     string // https://dysmsapi.aliyuncs.com where empty
}

// Aliyun sends through Alibaba Cloud's SMS.
type Aliyun struct {
	options  AliyunOptions
	endpoint *url.URL
}

// NewAliyun returns a sender through Alibaba Cloud, or an error that says which option to mend.
func NewAliyun(options AliyunOptions) (*Aliyun, error) {
	err := require("aliyun", map[string]string{
		"AccessKeyID": options.AccessKeyID, "AccessKeySecret": options.AccessKeySecret,
		"SignName": options.SignName, "TemplateCode": options.TemplateCode,
	})
	if err != nil {
		return nil, err
	}
	// With this variable the SDK prints whole requests, and nothing else turns that off.
	if debug := strings.Split(os.Getenv("DEBUG"), ","); slices.Contains(debug, "dara") {
		return nil, errors.New("sms by aliyun: take dara out of the environment variable DEBUG, which would print phones and codes")
	}
	endpoint, err := parseEndpoint(options.Endpoint, "https://dysmsapi.aliyuncs.com")
	if err != nil {
		return nil, err
	}
	options.Region = cmp.Or(options.Region, "cn-hangzhou")
	return &Aliyun{options: options, endpoint: endpoint}, nil
}

// Send sends the message with the API SendSms of 2017-05-25.
func (a *Aliyun) Send(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	exchange := &exchange{ctx: ctx}

	client, err := openapi.NewClient(&openapiutil.Config{
		AccessKeyId:     &a.options.AccessKeyID,
		AccessKeySecret: &a.options.AccessKeySecret,
		Protocol:        &a.endpoint.Scheme,
		Endpoint:        &a.endpoint.Host,
		HttpClient:      aliyunHTTP{exchange},
	})
	if err != nil {
		return fmt.Errorf("make aliyun's client: %T", err)
	}
	request, err := a.request(m)
	if err != nil {
		return err
	}
	_, _ = client.CallApiWithCtx(ctx, aliyunSendSms, request, &dara.RuntimeOptions{}) // the exchange knows better
	return aliyunResult(exchange)
}

var aliyunSendSms = &openapiutil.Params{
	Action:      dara.String("SendSms"),
	Version:     dara.String("2017-05-25"),
	Protocol:    dara.String("https"),
	Pathname:    dara.String("/"),
	Method:      dara.String(http.MethodPost),
	AuthType:    dara.String("AK"),
	Style:       dara.String("RPC"),
	ReqBodyType: dara.String("formData"),
	BodyType:    dara.String("string"),
}

func (a *Aliyun) request(m Message) (*openapiutil.OpenApiRequest, error) {
	param, err := json.Marshal(map[string]string{"code": m.Code})
	if err != nil {
		return nil, fmt.Errorf("write aliyun's template parameters: %w", err)
	}
	return &openapiutil.OpenApiRequest{Query: map[string]*string{
		"PhoneNumbers":  dara.String(aliyunPhone(m.Phone)),
		"SignName":      &a.options.SignName,
		"TemplateCode":  &a.options.TemplateCode,
		"TemplateParam": dara.String(string(param)),
		"RegionId":      &a.options.Region,
	}}, nil
}

// aliyunPhone writes a phone as Alibaba Cloud wants it: 18866668888, but 85291234567.
func aliyunPhone(phone string) string {
	if national, ok := strings.CutPrefix(phone, "+86"); ok {
		return national
	}
	return strings.TrimPrefix(phone, "+")
}

// aliyunHTTP is an exchange as the SDK wants it.
type aliyunHTTP struct{ *exchange }

func (h aliyunHTTP) Call(request *http.Request, _ *http.Transport) (*http.Response, error) {
	return h.RoundTrip(request)
}

func aliyunResult(exchange *exchange) error {
	var answer struct {
		Code      string
		RequestID string `json:"RequestId"`
	}
	if err := exchange.decode("aliyun", &answer); err != nil {
		return err
	}
	switch answer.Code {
	case "OK":
		return nil
	case "":
		return exchange.strange("aliyun")
	default:
		return refusal("aliyun", answer.Code, answer.RequestID, aliyunRefusals)
	}
}
