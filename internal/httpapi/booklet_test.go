package httpapi

import (
	"bytes"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
)

const (
	bookletOK            = `{"data":{"msg":"ok","code":0}}`
	bookletInvalid       = `{"data":{"msg":"入参非法","code":1001}}`
	bookletRegistered    = `{"data":{"msg":"用户已注册，请直接登录","code":1002}}`
	bookletNotRegistered = `{"data":{"msg":"用户尚未注册，请先注册","code":1003}}`
	bookletEmpty         = `{"data":{"msg":"上传图片不能为空","code":2001}}`

	bookletRegistration = `{"phone":"18866668888","password":"demo123456","code":"123456"}`
)

// newBooklet starts a production server that answers like the booklet's, whose users have the code 123456.
func newBooklet(t testing.TB, url string) *testServer {
	t.Helper()
	return newServer(t, url, func(s *setup) {
		s.api.Booklet = true
		s.codes.AnyPhone = "123456"
	})
}

// wantBooklet checks the whole answer. The booklet's server knows no status but 200.
func (s *testServer) wantBooklet(t testing.TB, r *http.Request, want string) {
	t.Helper()
	a := s.sendUnchecked(t, r).wantStatus(t, http.StatusOK).wantHeader(t, "Content-Type", jsonType)
	if got := strings.TrimSpace(string(a.body)); got != want {
		t.Errorf("%s %s answered\n%s, want\n%s", r.Method, r.URL.Path, got, want)
	}
}

func TestBookletUsers(t *testing.T) {
	tests := []struct {
		name    string
		request *http.Request
		want    string
	}{
		{"a field is missing", post("/users/regist", jsonType, `{"phone":"18866668888","password":"demo123456"}`), bookletInvalid},
		{"phone is null", post("/users/regist", jsonType, `{"phone":null,"password":"demo123456","code":"123456"}`), bookletInvalid},
		{"no json", post("/users/regist", jsonType, "nonsense"), bookletInvalid},
		{"nothing", post("/users/regist", "", ""), bookletInvalid},
		{"not yet registered", get("/users/login?phone=18866668888&password=demo123456"), bookletNotRegistered},
		{"json as curl -d sends it", post("/users/regist", formType, bookletRegistration), bookletOK},
		{"again", post("/users/regist", jsonType, bookletRegistration), bookletRegistered},
		{"again as text", post("/users/regist", "text/plain", bookletRegistration), bookletRegistered},
		{"again without a type", post("/users/regist", "", bookletRegistration), bookletRegistered},
		{"again with a broken type", post("/users/regist", ";;", bookletRegistration), bookletRegistered},
		{"again as a form", post("/users/regist", formType, "phone=18866668888&password=demo123456&code=123456"), bookletRegistered},
		{"again as a form with a charset", post("/users/regist", formType+"; charset=UTF-8", "phone=18866668888&password=demo123456&code=123456"), bookletRegistered},
		{"again behind blanks", post("/users/regist", formType, " \r\n"+bookletRegistration), bookletRegistered},
		{"again on an English phone", post("/users/regist", jsonType, bookletRegistration, with("Accept-Language", "en")), bookletRegistered},
		{"an argument is missing", get("/users/login?phone=18866668888"), bookletInvalid},
		{"all arguments are missing", get("/users/login"), bookletInvalid},
		{"wrong password", get("/users/login?phone=18866668888&password=demo1234567"), `{"data":{"msg":"密码错误","code":1005}}`},
		{"too large", post("/users/regist", jsonType, strings.Repeat(" ", maxBodyBytes+1)), `{"data":{"msg":"请求体过大","code":9008}}`},
	}
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newBooklet(t, url)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				if test.request.GetBody != nil { // the request is sent once for each database
					test.request.Body, _ = test.request.GetBody()
				}
				s.wantBooklet(t, test.request, test.want)
			})
		}
		page := s.sendUnchecked(t, get("/users/login?phone=18866668888&password=demo123456"))
		page.wantStatus(t, http.StatusOK).wantHeader(t, "Content-Type", "text/html; charset=utf-8").wantText(t, "MY DEMO H5")
	})
}

var bookletURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+(/static/image/[a-z2-7]{26}\.(?:jpg|png))`)

func TestBookletUploads(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newBooklet(t, url)
		s.wantBooklet(t, uploadOf(nil), bookletInvalid)
		s.wantBooklet(t, post("/upload/file", formType, "image=x"), bookletInvalid)
		s.wantBooklet(t, post("/upload/file", "", ""), bookletInvalid)
		s.wantBooklet(t, uploadOf([]file{{"demo.jpg", nil}}), bookletEmpty)
		s.wantBooklet(t, uploadOf([]file{{"demo.jpg", []byte("text")}}), `{"data":{"msg":"只支持 JPEG、PNG、GIF、WebP 和 HEIC 图片","code":2002}}`)
		s.wantNoPictures(t)

		for _, test := range []struct {
			files []file
			want  string
		}{
			{[]file{{"demo.jpg", tinyJPEG(t)}}, `{"data":{"msg":{"imageUrl":["URL"]},"code":0}}`},
			{[]file{{"demo.jpg", tinyJPEG(t)}, {"demo.jpg", tinyPNG(t)}}, `{"data":{"msg":{"imageUrl":["URL","URL"]},"code":0}}`},
		} {
			a := s.sendUnchecked(t, uploadOf(test.files)).wantStatus(t, http.StatusOK).wantHeader(t, "Content-Type", jsonType)
			if got := strings.TrimSpace(bookletURL.ReplaceAllString(string(a.body), "URL")); got != test.want {
				t.Errorf("answer is %s, want %s", got, test.want)
			}
			for i, path := range bookletURL.FindAllStringSubmatch(string(a.body), -1) {
				loaded := s.send(t, get(path[1])).wantStatus(t, http.StatusOK)
				if !bytes.Equal(loaded.body, test.files[i].content) {
					t.Errorf("picture %d came back with other bytes", i)
				}
			}
		}
	})
}

// TestBookletChangesNothingElse looks at what the booklet's server does not have.
func TestBookletChangesNothingElse(t *testing.T) {
	s := newBooklet(t, "")
	s.send(t, get("/users/me")).want(t, apperr.NotLoggedIn)
	s.send(t, get("/nowhere")).want(t, apperr.PathNotFound)
	s.send(t, postJSON("/users/login", map[string]any{"phone": "18866668888", "password": "demo123456"})).want(t, apperr.NotRegistered)
	s.send(t, post("/users/login", "text/plain", "{}")).want(t, apperr.UnsupportedMediaType)
	s.send(t, get("/static/image/demo.jpg")).want(t, apperr.ImageNotFound)
	s.send(t, get("/h5/nowhere", browser)).wantStatus(t, http.StatusNotFound).wantText(t, "<html")
}
