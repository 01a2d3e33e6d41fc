package sms_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"testing"
	"time"

	"gatehouse/internal/sms"
)

// tc3 is Tencent Cloud's TC3-HMAC-SHA256 of a POST to "/" that signs content-type and host, written after
// the documentation.
func tc3(secretID, secretKey, service, contentType, host, body string, seconds int64) string {
	date := time.Unix(seconds, 0).UTC().Format(time.DateOnly)
	scope := date + "/" + service + "/tc3_request"
	canonical := "POST\n/\n\ncontent-type:" + contentType + "\nhost:" + host + "\n\ncontent-type;host\n" + sha256Hex(body)
	toSign := fmt.Sprintf("TC3-HMAC-SHA256\n%d\n%s\n%s", seconds, scope, sha256Hex(canonical))
	signing := hmac256(hmac256(hmac256([]byte("TC3"+secretKey), date), service), "tc3_request")
	return fmt.Sprintf("TC3-HMAC-SHA256 Credential=%s/%s, SignedHeaders=content-type;host, Signature=%x",
		secretID, scope, hmac256(signing, toSign))
}

func hmac256(key []byte, message string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(message))
	return mac.Sum(nil)
}

func sha256Hex(message string) string {
	sum := sha256.Sum256([]byte(message))
	return hex.EncodeToString(sum[:])
}

// TestTC3 proves this test's signatures right with the documentation's example, whose keys end in asterisks.
func TestTC3(t *testing.T) {
	got := tc3("AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******", "Gu5t9xGARNpq86cd98joQYCN3*******", "cvm",
		"application/json; charset=utf-8", "cvm.tencentcloudapi.com",
		`{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`, 1551113065)
	want := "TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3*******/2019-02-25/cvm/tc3_request, " +
		"SignedHeaders=content-type;host, Signature=2230eefd229f582d8b1b891af7107b91597240707d778ab3738f756258d7652c"
	if got != want {
		t.Errorf("signed\n%s, want\n%s", got, want)
	}
}

func tencent(t *testing.T, endpoint string) sms.Sender {
	t.Helper()
	sender, err := sms.NewTencent(sms.TencentOptions{
		SecretID: "AKIDtest", SecretKey: key, AppID: "1400006666", SignName: "门房", TemplateID: "1110",
		TemplateParams: []string{"{code}", "{minutes}"}, Endpoint: endpoint,
	})
	if err != nil {
		t.Fatal(err)
	}
	return sender
}

func TestTencentSends(t *testing.T) {
	testConcurrent(t, tencent(t, start(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the request: %v", err)
		}
		seconds, err := strconv.ParseInt(r.Header.Get("X-TC-Timestamp"), 10, 64)
		if err != nil || math.Abs(time.Since(time.Unix(seconds, 0)).Minutes()) > 5 {
			t.Errorf("timestamp %q is not of now", r.Header.Get("X-TC-Timestamp"))
		}
		want := tc3("AKIDtest", key, "sms", r.Header.Get("Content-Type"), r.Host, string(body), seconds)
		if got := r.Header.Get("Authorization"); got != want || r.Method != http.MethodPost || r.URL.Path != "/" {
			t.Errorf("%s %s was authorized by\n%s, want\n%s", r.Method, r.URL, got, want)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/json", "X-TC-Action": "SendSms", "X-TC-Version": "2021-01-11", "X-TC-Region": "ap-guangzhou",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		var got map[string]any
		if err := json.Unmarshal(body, &got); err != nil {
			t.Errorf("read %s: %v", body, err)
		}
		wantBody := map[string]any{
			"PhoneNumberSet": []any{phone}, "SmsSdkAppId": "1400006666", "SignName": "门房", "TemplateId": "1110",
			"TemplateParamSet": []any{code, "5"},
		}
		if !reflect.DeepEqual(got, wantBody) {
			t.Errorf("sent %v, want %v", got, wantBody)
		}
		io.WriteString(w, `{"Response":{"SendStatusSet":[{"SerialNo":"5000:1","PhoneNumber":"`+phone+`","Fee":1,"Code":"Ok","Message":"send success","IsoCode":"CN"}],"RequestId":"a0aabda6"}}`)
	})))
}

var tencentCodes = refusals{
	phone: []string{
		"FailedOperation.PhoneNumberInBlacklist", "InvalidParameterValue.IncorrectPhoneNumber",
		"LimitExceeded.AppCountryOrRegionInBlacklist", "UnsupportedOperation.UnsuportedRegion",
	},
	limited: []string{
		"LimitExceeded.AppCountryOrRegionDailyLimit", "LimitExceeded.AppDailyLimit", "LimitExceeded.AppGlobalDailyLimit",
		"LimitExceeded.AppMainlandChinaDailyLimit", "LimitExceeded.DailyLimit", "LimitExceeded.DeliveryFrequencyLimit",
		"LimitExceeded.PhoneNumberDailyLimit", "LimitExceeded.PhoneNumberOneHourLimit",
		"LimitExceeded.PhoneNumberSameContentDailyLimit", "LimitExceeded.PhoneNumberThirtySecondLimit",
	},
	other: []string{
		"FailedOperation.InsufficientBalanceInSmsPackage", "FailedOperation.SignatureIncorrectOrUnapproved",
		"FailedOperation.TemplateIncorrectOrUnapproved", "InternalError.Timeout",
		"InvalidParameterValue.SdkAppIdNotExist", "UnauthorizedOperation.SmsSdkAppIdVerifyFail",
	},
}

func TestTencentRefusesThePhone(t *testing.T) {
	tencentCodes.test(t, func(t *testing.T, refusal string) error {
		body := fmt.Sprintf(`{"Response":{"SendStatusSet":[{"PhoneNumber":%q,"Fee":0,"Code":%q,"Message":"no %s for %s"}],"RequestId":"request-17"}}`, phone, refusal, code, phone)
		return tencent(t, answer(t, http.StatusOK, body)).Send(t.Context(), message)
	})
}

func TestTencentRefusesTheRequest(t *testing.T) {
	codes := tencentCodes
	codes.limited = append(codes.limited, "LimitExceeded", "RequestLimitExceeded", "RequestLimitExceeded.IPLimitExceeded",
		"RequestLimitExceeded.UinLimitExceeded", "RequestLimitExceeded.GlobalRegionUinLimitExceeded")
	codes.other = append(codes.other, "AuthFailure.SignatureFailure", "AuthFailure.SecretIdNotFound", "InternalError")
	codes.test(t, func(t *testing.T, refusal string) error {
		body := fmt.Sprintf(`{"Response":{"Error":{"Code":%q,"Message":"no %s for %s"},"RequestId":"request-17"}}`, refusal, code, phone)
		return tencent(t, answer(t, http.StatusOK, body)).Send(t.Context(), message)
	})
}

func TestTencentTrouble(t *testing.T) { testTrouble(t, tencent) }

func TestTencentOptions(t *testing.T) {
	_, err := sms.NewTencent(sms.TencentOptions{SecretID: "AKIDtest", SecretKey: key, AppID: "1400006666"})
	checkOptions(t, err, "TemplateID")
	_, err = sms.NewTencent(sms.TencentOptions{SecretID: "AKIDtest", SecretKey: key, AppID: "1", TemplateID: "1", Endpoint: "sms.tencentcloudapi.com"})
	checkOptions(t, err, "endpoint")
}
