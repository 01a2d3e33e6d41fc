package sms_test

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/sms"
)

// acs3 is Alibaba Cloud's ACS3-HMAC-SHA256 of a request to "/", written after the documentation.
func acs3(id, secret, method string, query url.Values, header func(name string) string, signed []string, body string) string {
	var canonical strings.Builder
	escaped := strings.ReplaceAll(query.Encode(), "+", "%20") // Encode sorts, and escapes all but RFC 3986's unreserved
	fmt.Fprintf(&canonical, "%s\n/\n%s\n", method, escaped)
	for _, name := range signed {
		fmt.Fprintf(&canonical, "%s:%s\n", name, strings.TrimSpace(header(name)))
	}
	names := strings.Join(signed, ";")
	fmt.Fprintf(&canonical, "\n%s\n%s", names, sha256Hex(body))
	signature := hmac256([]byte(secret), "ACS3-HMAC-SHA256\n"+sha256Hex(canonical.String()))
	return fmt.Sprintf("ACS3-HMAC-SHA256 Credential=%s,SignedHeaders=%s,Signature=%x", id, names, signature)
}

// TestACS3 proves this test's signatures right with the documentation's example.
func TestACS3(t *testing.T) {
	headers := map[string]string{
		"host": "ecs.cn-shanghai.aliyuncs.com", "x-acs-action": "RunInstances", "x-acs-version": "2014-05-26",
		"x-acs-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"x-acs-date":           "2023-10-26T10:22:32Z", "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
	}
	signed := []string{"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}
	query := url.Values{"ImageId": {"win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"}, "RegionId": {"cn-shanghai"}}
	got := acs3("YourAccessKeyId", "YourAccessKeySecret", "POST", query, func(name string) string { return headers[name] }, signed, "")
	want := "ACS3-HMAC-SHA256 Credential=YourAccessKeyId," +
		"SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version," +
		"Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
	if got != want {
		t.Errorf("signed\n%s, want\n%s", got, want)
	}
}

func aliyun(t *testing.T, endpoint string) sms.Sender {
	t.Helper()
	sender, err := sms.NewAliyun(sms.AliyunOptions{
		AccessKeyID: "LTAItest", AccessKeySecret: key, SignName: "门房 A*~", TemplateCode: "SMS_1", Endpoint: endpoint,
	})
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

const aliyunSent = `{"Message":"OK","RequestId":"F655A8D5","Code":"OK","BizId":"9006^0"}`

// checkACS3 fails unless a request is signed, with all that the documentation wants signed.
func checkACS3(t *testing.T, r *http.Request) {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Errorf("read the request: %v", err)
	}
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	names, _, _ := strings.Cut(rest, ",")
	signed := strings.Split(names, ";")
	for _, name := range []string{"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"} {
		if !slices.Contains(signed, name) {
			t.Errorf("%s is not signed", name)
		}
	}
	header := func(name string) string {
		if name == "host" {
			return r.Host
		}
		return r.Header.Get(name)
	}
	want := acs3("LTAItest", key, r.Method, r.URL.Query(), header, signed, string(body))
	if got := r.Header.Get("Authorization"); got != want || !slices.IsSorted(signed) {
		t.Errorf("authorized by\n%s, want\n%s", got, want)
	}
	if got := r.Header.Get("x-acs-content-sha256"); got != sha256Hex(string(body)) {
		t.Errorf("the hash of the body is %s", got)
	}
	date, err := time.Parse(time.RFC3339, r.Header.Get("x-acs-date"))
	if err != nil || math.Abs(time.Since(date).Minutes()) > 5 {
		t.Errorf("date %q is not of now", r.Header.Get("x-acs-date"))
	}
}

func TestAliyunSends(t *testing.T) {
	testConcurrent(t, aliyun(t, start(t, func(w http.ResponseWriter, r *http.Request) {
		checkACS3(t, r)
		if r.Method != http.MethodPost || r.URL.Path != "/" || r.Header.Get("x-acs-action") != "SendSms" || r.Header.Get("x-acs-version") != "2017-05-25" {
			t.Errorf("got %s %s of %s %s", r.Method, r.URL.Path, r.Header.Get("x-acs-action"), r.Header.Get("x-acs-version"))
		}
		want := url.Values{
			"PhoneNumbers": {"18866668888"}, "SignName": {"门房 A*~"}, "TemplateCode": {"SMS_1"},
			"TemplateParam": {`{"code":"` + code + `"}`}, "RegionId": {"cn-hangzhou"},
		}
		if got := r.URL.Query(); got.Encode() != want.Encode() {
			t.Errorf("sent %v, want %v", got, want)
		}
		io.WriteString(w, aliyunSent)
	})))
}

func TestAliyunPhones(t *testing.T) {
	tests := map[string]string{phone: "18866668888", "+85291234567": "85291234567", "+14155550100": "14155550100"}
	for phone, want := range tests {
		t.Run(phone, func(t *testing.T) {
			sender := aliyun(t, start(t, func(w http.ResponseWriter, r *http.Request) {
				if got := r.URL.Query().Get("PhoneNumbers"); got != want {
					t.Errorf("sent to %s, want %s", got, want)
				}
				io.WriteString(w, aliyunSent)
			}))
			if err := sender.Send(t.Context(), sms.Message{Phone: phone, Code: code}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAliyunRefuses(t *testing.T) {
	refusals{
		phone:   []string{"isv.MOBILE_NUMBER_ILLEGAL", "isv.BLACK_KEY_CONTROL_LIMIT", "isv.DOMESTIC_NUMBER_NOT_SUPPORTED"},
		limited: []string{"isv.BUSINESS_LIMIT_CONTROL", "isv.DAY_LIMIT_CONTROL", "isv.MONTH_LIMIT_CONTROL"},
		other: []string{
			"isv.AMOUNT_NOT_ENOUGH", "isv.OUT_OF_SERVICE", "isv.SMS_SIGNATURE_ILLEGAL", "isv.SMS_TEMPLATE_ILLEGAL",
			"isv.TEMPLATE_MISSING_PARAMETERS", "isp.RAM_PERMISSION_DENY", "isp.SYSTEM_ERROR", "isv.DENY_IP_RANGE",
		},
	}.test(t, func(t *testing.T, refusal string) error {
		return aliyun(t, answer(t, http.StatusOK, aliyunRefusal(refusal))).Send(t.Context(), message)
	})
}

func TestAliyunGatewayRefuses(t *testing.T) {
	refusals{
		limited: []string{"Throttling", "Throttling.User", "Throttling.Api"},
		other:   []string{"InvalidAccessKeyId.NotFound", "SignatureDoesNotMatch", "ServiceUnavailable"},
	}.test(t, func(t *testing.T, refusal string) error {
		return aliyun(t, answer(t, http.StatusBadRequest, aliyunRefusal(refusal))).Send(t.Context(), message)
	})
}

func aliyunRefusal(refusal string) string {
	return fmt.Sprintf(`{"Code":%q,"Message":"no %s for %s","RequestId":"request-17","HostId":"dysmsapi.aliyuncs.com"}`, refusal, code, phone)
}

func TestAliyunTrouble(t *testing.T) { testTrouble(t, aliyun) }

func TestAliyunOptions(t *testing.T) {
	options := sms.AliyunOptions{AccessKeyID: "LTAItest", AccessKeySecret: key, SignName: "门房"}
	_, err := sms.NewAliyun(options)
	checkOptions(t, err, "TemplateCode")
	options.TemplateCode = "SMS_1"
	options.Endpoint = "https://example.com/path"
	_, err = sms.NewAliyun(options)
	checkOptions(t, err, "endpoint")
	t.Setenv("DEBUG", "other,dara")
	_, err = sms.NewAliyun(options)
	checkOptions(t, err, "DEBUG")
}
