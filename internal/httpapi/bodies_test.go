package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
)

// registrationBody returns the JSON of a registration that is right but for one member, whose
// value is given as JSON; nothing leaves the member out.
func registrationBody(phone, member, value string) string {
	members := map[string]json.RawMessage{
		"phone": json.RawMessage(`"` + phone + `"`), "password": json.RawMessage(`"` + password + `"`), "code": json.RawMessage(`"` + code + `"`),
	}
	members[member] = json.RawMessage(value)
	if value == "" {
		delete(members, member)
	}
	body, err := json.Marshal(members)
	if err != nil {
		panic(fmt.Sprintf("%s as %s: %v", value, member, err))
	}
	return string(body)
}

func TestOddJSON(t *testing.T) {
	const phone = "18866668888"
	right := registrationBody(phone, "phone", `"`+phone+`"`)
	type body struct {
		name, body string
		wantFields []string // of the details; empty: of the body as a whole
	}
	bodies := []body{
		{"empty", "", []string{""}},
		{"blank", " \r\n", []string{""}},
		{"no json", marker, []string{""}},
		{"cut off", right[:len(right)-1], []string{""}},
		{"cut off in a string", right[:len(right)-4], []string{""}},
		{"something behind", right + " " + marker, []string{""}},
		{"another value behind", right + right, []string{""}},
		{"a brace behind", right + "}", []string{""}},
		{"single quotes", strings.ReplaceAll(right, `"`, `'`), []string{""}},
		{"trailing comma", strings.Replace(right, "}", ",}", 1), []string{""}},
		{"comment", "/* */" + right, []string{""}},
		{"byte order mark", "\ufeff" + right, []string{""}},
		{"utf-16", "\xff\xfe{\x00}\x00", []string{""}},
		{"nul", "\x00", []string{""}},
		{"not a number", `{"phone":NaN}`, []string{""}},
		{"deep nesting", strings.Repeat("[", 30_000), []string{""}},
		{"deep nesting in a member", `{"phone":` + strings.Repeat(`{"a":`, 5_000) + `1` + strings.Repeat(`}`, 5_000) + `}`, []string{"/code", "/password", "/phone"}},
		{"null", "null", []string{"/"}},
		{"true", "true", []string{"/"}},
		{"number", "1", []string{"/"}},
		{"string", `"` + marker + `"`, []string{"/"}},
		{"array", "[]", []string{"/"}},
		{"array of the object", "[" + right + "]", []string{"/"}},
		{"empty object", "{}", []string{"/code", "/password", "/phone"}},
		{"a form called json", "phone=" + phone + "&password=" + marker, []string{""}},
		{"member in upper case", strings.Replace(right, `"phone"`, `"PHONE"`, 1), []string{"/phone"}},
		{"the last of two members counts", strings.Replace(right, "}", `,"phone":null}`, 1), []string{"/phone"}},
	}
	for _, member := range []string{"phone", "password", "code"} {
		for _, value := range []string{
			"", "null", "true", "false", "0", "1.5", "-1e999", "18866668888", "[]", `["18866668888"]`, "{}", `{"a":{"b":[]}}`, `""`, `" "`,
			`"` + strings.Repeat(marker, 1000) + `"`,
		} {
			bodies = append(bodies, body{member + " is " + cutAt(value, 20), registrationBody(phone, member, value), []string{"/" + member}})
		}
	}
	for _, value := range []string{
		`"1886666888"`, `"188666688888"`, `"+86"`, `"` + marker + `"`, `"18866668888 "`, `"1886666888８"`, `"１８８６６６６８８８８"`,
		`"18866668888\u0000"`, `"' OR 1=1 --"`, `"+8618866668888;ext=1"`, `"\ud800"`, `"12345"`, `"110"`, `"00000000000"`,
	} {
		if value != `"18866668888 "` { // spaces don't matter
			bodies = append(bodies, body{"phone is " + value, registrationBody(phone, "phone", value), []string{"/phone"}})
		}
	}
	for _, value := range []string{`"` + marker + `1"`, `"` + strings.Repeat("密", 129) + `"`} {
		bodies = append(bodies, body{"password is " + value, registrationBody(phone, "password", value), []string{"/password"}})
	}
	for _, value := range []string{`"12345"`, `"1234567"`, `"12345a"`, `"１２３４５６"`, `"123456\n"`, `" 123456"`} {
		bodies = append(bodies, body{"code is " + value, registrationBody(phone, "code", value), []string{"/code"}})
	}
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		for _, test := range bodies {
			t.Run(test.name, func(t *testing.T) {
				a := s.send(t, post("/users/regist", jsonType, test.body)).want(t, apperr.InvalidInput)
				if fields := fieldsOf(a); !slices.Equal(fields, test.wantFields) {
					t.Errorf("the details name %q, want %q", fields, test.wantFields)
				}
			})
		}
		s.send(t, post("/users/regist", jsonType, right)).want(t, apperr.OK) // it has hurt nobody
		if users := s.count(t, "users"); users != 1 {
			t.Errorf("%d users are registered, want 1", users)
		}
	})
}

func cutAt(text string, most int) string { return text[:min(len(text), most)] }

// fieldsOf returns the fields that the details name, sorted.
func fieldsOf(a answer) []string {
	var fields []string
	for _, detail := range a.errors.Details {
		fields = append(fields, detail.Field)
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

func TestJSONThatIsTaken(t *testing.T) {
	s := newServer(t, "")
	for i, edit := range []func(body string) string{
		func(body string) string { return " \t\r\n" + body + "\n\n" },
		func(body string) string { return strings.Replace(body, "{", `{"unknown":{"phone":[null]},`, 1) },
		func(body string) string { return strings.Replace(body, "{", `{"phone":null,`, 1) }, // the last one counts
		func(body string) string { return strings.Replace(body, "}", `,"Password":"short","PHONE":1}`, 1) },
		func(body string) string { return strings.ReplaceAll(body, "phone", `ph\u006fne`) },
		func(body string) string { return strings.ReplaceAll(body, password, strings.Repeat("密", 128)) },
		func(body string) string { return strings.ReplaceAll(body, password, `\u0000\ud83d\ude00\"\\/ äö`) },
	} {
		phone := fmt.Sprintf("1390013%04d", i)
		body := edit(registrationBody(phone, "phone", `"`+phone+`"`))
		s.send(t, post("/users/regist", jsonType, body)).want(t, apperr.OK)
	}
	if users := s.count(t, "users"); users != 7 {
		t.Errorf("%d users are registered, want 7", users)
	}
	s.send(t, credentials("13900130003", password)).want(t, apperr.OK) // not by the password that a wrong member had
}

func TestOddForms(t *testing.T) {
	s := newServer(t, "")
	const right = "phone=18866668888&password=open+sesame+8"
	tests := []struct {
		name, body string
		wantCode   apperr.Code
	}{
		{"empty", "", apperr.InvalidInput},
		{"nothing in it", "&&&", apperr.InvalidInput},
		{"json called a form", `{"phone":"18866668888","password":"` + marker + `12"}`, apperr.InvalidInput},
		{"broken escape", right + "&x=%zz", apperr.InvalidInput},
		{"semicolon", "phone=18866668888;password=open+sesame+8", apperr.InvalidInput},
		{"no phone", "password=open+sesame+8", apperr.InvalidInput},
		{"empty phone", "phone=&password=open+sesame+8", apperr.InvalidInput},
		{"the first of two counts", "phone=" + marker + "&" + right, apperr.InvalidInput},
		{"phone as an array", "phone[]=18866668888&password=open+sesame+8", apperr.InvalidInput},
		{"unknown fields", right + strings.Repeat("&x=y", 1000), apperr.NotRegistered},
		{"a flood of fields", right + strings.Repeat("&x=y", 10_000), apperr.InvalidInput},
		{"plus is a space", "phone=+8618866668888&password=open+sesame+8", apperr.InvalidInput},
		{"right", right, apperr.NotRegistered},
	}
	for _, test := range tests {
		for _, path := range []string{"/users/login", "/h5/login"} {
			t.Run(test.name+path, func(t *testing.T) { s.send(t, post(path, formType, test.body)).want(t, test.wantCode) })
		}
	}
}

func TestBodiesThatAreTooLarge(t *testing.T) {
	s := newServer(t, "")
	filler := strings.Repeat(marker, maxBodyBytes/len(marker)+1)
	for _, path := range []string{"/users/regist", "/users/login"} {
		for _, body := range []string{`{"x":"` + filler + `"}`, filler, strings.Repeat(" ", maxBodyBytes+1), strings.Repeat("[", 1<<20)} {
			s.send(t, post(path, jsonType, body)).want(t, apperr.BodyTooLarge)
		}
	}
	for _, path := range []string{"/users/regist", "/users/login", "/h5/login", "/h5/session"} {
		s.send(t, post(path, formType, "x="+filler)).want(t, apperr.BodyTooLarge)
		s.send(t, post(path, formType, "x="+filler, browser)).wantStatus(t, http.StatusRequestEntityTooLarge)
	}
	exact := registrationBody("18866668888", "x", `"`+strings.Repeat(" ", maxBodyBytes)+`"`)
	exact = strings.Replace(exact, strings.Repeat(" ", len(exact)-maxBodyBytes), "", 1)
	s.send(t, post("/users/regist", jsonType, exact)).want(t, apperr.OK)
}

func TestContentTypes(t *testing.T) {
	s := newServer(t, "")
	token := bearer(s.newUser(t).token)
	right := registrationBody("18866668888", "phone", `"18866668888"`)
	form := "phone=18866668880&password=open+sesame+8"
	tests := []struct {
		contentType    string
		wantOfJSON     apperr.Code
		wantOfForm     apperr.Code
		wantOfPageForm apperr.Code
		wantOfUpload   apperr.Code
	}{
		{"", apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType},
		{"text/plain", apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType},
		{"json", apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType},
		{"application/xml", apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType},
		{"application/jsonp", apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType},
		{"application/json/", apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType},
		{"application/json, text/plain", apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType},
		{marker + "/" + marker, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType},
		{"multipart/form-data; boundary=x", apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.InvalidInput},
		{"multipart/form-data", apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.InvalidInput},
		{"multipart/mixed; boundary=x", apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType},
		{"application/json", apperr.AlreadyRegistered, apperr.InvalidInput, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType},
		{"Application/JSON", apperr.AlreadyRegistered, apperr.InvalidInput, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType},
		{"application/json; charset=utf-8", apperr.AlreadyRegistered, apperr.InvalidInput, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType},
		{"application/json;charset", apperr.AlreadyRegistered, apperr.InvalidInput, apperr.UnsupportedMediaType, apperr.UnsupportedMediaType},
		{"application/x-www-form-urlencoded", apperr.InvalidInput, apperr.NotRegistered, apperr.NotRegistered, apperr.UnsupportedMediaType},
		{"Application/X-WWW-Form-URLEncoded; charset=UTF-8", apperr.InvalidInput, apperr.NotRegistered, apperr.NotRegistered, apperr.UnsupportedMediaType},
	}
	s.send(t, post("/users/regist", jsonType, right)).want(t, apperr.OK)
	for _, test := range tests {
		t.Run(test.contentType, func(t *testing.T) {
			s.send(t, post("/users/regist", test.contentType, right)).want(t, test.wantOfJSON)
			s.send(t, post("/users/login", test.contentType, form)).want(t, test.wantOfForm)
			s.send(t, post("/h5/login", test.contentType, form)).want(t, test.wantOfPageForm)
			s.send(t, post("/upload/file", test.contentType, "--x--", token)).want(t, test.wantOfUpload)
			if test.wantOfPageForm == apperr.UnsupportedMediaType {
				s.send(t, post("/h5/session", test.contentType, form)).want(t, apperr.UnsupportedMediaType)
			}
		})
	}
}

func TestDetailsSayWhatToMendInBothLanguages(t *testing.T) {
	s := newServer(t, "")
	body := `{"phone":1,"password":"short"}`
	tests := []struct {
		language    string
		wantMessage string
		wantReasons map[string]string
	}{
		{"", "入参非法", map[string]string{"/phone": "类型不正确", "/password": "至少 8 个字符", "/code": "必填"}},
		{"zh-CN,zh;q=0.9,en;q=0.8", "入参非法", map[string]string{"/phone": "类型不正确", "/password": "至少 8 个字符", "/code": "必填"}},
		{"en-GB", "The request is not valid", map[string]string{"/phone": "is of the wrong type", "/password": "has fewer than 8 characters", "/code": "is required"}},
		{"fr, en;q=0.1", "The request is not valid", map[string]string{"/phone": "is of the wrong type", "/password": "has fewer than 8 characters", "/code": "is required"}},
	}
	for _, test := range tests {
		t.Run(test.language, func(t *testing.T) {
			a := s.send(t, post("/users/regist", jsonType, body, with("Accept-Language", test.language))).want(t, apperr.InvalidInput)
			if a.errors.Msg != test.wantMessage {
				t.Errorf("the text is %q, want %q", a.errors.Msg, test.wantMessage)
			}
			if len(a.errors.Details) != len(test.wantReasons) {
				t.Errorf("details are %v, want %v", a.errors.Details, test.wantReasons)
			}
			for _, detail := range a.errors.Details {
				if want := test.wantReasons[detail.Field]; detail.Reason != want {
					t.Errorf("%s: %q, want %q", detail.Field, detail.Reason, want)
				}
			}
		})
	}
}

func TestOddAcceptLanguage(t *testing.T) {
	s := newServer(t, "")
	for _, language := range []string{
		"*", "xx", "-", ";q=1", "en;q=", "en;q=0", "zh;q=abc", "\"", marker, strings.Repeat("en-", 1000), strings.Repeat("en,", 1000), "\xff\xfe",
	} {
		s.send(t, get("/users/me", with("Accept-Language", language))).want(t, apperr.NotLoggedIn)
	}
}
