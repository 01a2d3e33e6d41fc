package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"image"
	"image/jpeg"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
)

func TestContractKnowsEveryErrorCode(t *testing.T) {
	schema := document.Components.Schemas["ErrorCode"].Value
	codes := slices.DeleteFunc(apperr.Codes(), func(code apperr.Code) bool { return code == apperr.OK })
	slices.Sort(codes)
	var numbers []any
	var names []any
	var table strings.Builder
	constants := codeConstants(t)
	for _, code := range codes {
		numbers = append(numbers, float64(code))
		names = append(names, constants[code])
		fmt.Fprintf(&table, "| %d | %d | %s | %s |\n", code, code.Status(), code.Text().Chinese, code.Text().English)
	}
	if !slices.Equal(schema.Enum, numbers) {
		t.Errorf("the enum is %v, want %v", schema.Enum, numbers)
	}
	if got := schema.Extensions["x-enum-varnames"].([]any); !slices.Equal(got, names) {
		t.Errorf("the names are %v, want %v", got, names)
	}
	if !strings.HasSuffix(schema.Description, "| --- | --- | --- | --- |\n"+table.String()) {
		t.Errorf("the table in the description is\n%s\nwant it to end with\n%s", schema.Description, table.String())
	}
}

// codeConstants returns the names of the constants in apperr.
func codeConstants(t testing.TB) map[apperr.Code]string {
	t.Helper()
	source, err := parser.ParseFile(token.NewFileSet(), "../apperr/codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[apperr.Code]string{}
	ast.Inspect(source, func(node ast.Node) bool {
		constant, ok := node.(*ast.ValueSpec)
		if !ok || len(constant.Values) != 1 {
			return true
		}
		if literal, ok := constant.Values[0].(*ast.BasicLit); ok && literal.Kind == token.INT {
			number, err := strconv.Atoi(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			names[apperr.Code(number)] = constant.Names[0].Name
		}
		return true
	})
	return names
}

func TestOperationsDeclareTheStatusesOfTheirCodes(t *testing.T) {
	for pattern, spec := range operations {
		t.Run(pattern, func(t *testing.T) {
			var want []int
			for _, code := range errorCodes(spec) {
				want = append(want, code.Status())
				description := *spec.Responses.Status(code.Status()).Value.Description
				if !strings.Contains(description, strconv.Itoa(int(code))) {
					t.Errorf("the response %d says %q, and not that it can be %d", code.Status(), description, code)
				}
			}
			for _, status := range declaredStatuses(spec) {
				if slices.Contains(successes, status) {
					want = append(want, status)
				}
			}
			slices.Sort(want)
			if got := declaredStatuses(spec); !slices.Equal(got, slices.Compact(want)) {
				t.Errorf("declares the statuses %v, but its codes and successes have %v", got, want)
			}
		})
	}
}

// The moments in the contract's examples.
var (
	exampleRegistration = time.Date(2026, 11, 20, 7, 59, 0, 0, time.UTC)
	exampleLogin        = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
)

// TestExamplesAreTrue sends every request that the contract has as an example, in an order that
// makes sense. Whether the answers are the contract's own is seen after the last test: see observations.
func TestExamplesAreTrue(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, inDevelopment, likeExamples)
		s.clock.set(exampleRegistration)
		s.sendExamples(t, "registerUser", http.StatusOK, http.StatusConflict)
		s.clock.set(exampleLogin)
		s.sendExamples(t, "sendCode", http.StatusOK, http.StatusTooManyRequests)
		login := decoded[api.LoginResult](t, s.sendExamples(t, "loginUser", http.StatusOK, http.StatusOK))
		token := bearer(login.Data.Msg.AccessToken)
		s.send(t, refresh(login.Data.Msg.RefreshToken)).want(t, apperr.OK)
		s.send(t, get("/users/me", token)).want(t, apperr.OK)
		s.send(t, newRequest(http.MethodPost, "/h5/ticket", "", nil, token)).want(t, apperr.OK)
		stored := s.send(t, uploadOf([]file{{"我的照片.jpg", examplePicture(t)}}, token))
		s.sendImageExamples(t, token, decoded[api.UploadResult](t, stored).Data.Msg.Images[0])
		s.sendUploadExamples(t, token)
		s.sendExamplesAs(t, "updateCurrentUser", token, http.StatusOK)
		s.sendExamplesAs(t, "endSession", token, http.StatusNotFound)
		s.sendExamplesAs(t, "listActivity", token, http.StatusOK)
		s.sendExamplesAs(t, "exportCurrentUser", token, http.StatusOK)
		s.sendExamplesAs(t, "changePhone", token, http.StatusOK)
		s.sendExamples(t, "refreshSession", http.StatusUnauthorized, http.StatusUnauthorized)
		s.send(t, get("/.well-known/jwks.json")).wantStatus(t, http.StatusOK)
		s.sendExamples(t, "switchSession", http.StatusSeeOther)
		s.sendExamples(t, "getHomePage", http.StatusSeeOther)
		s.sendExamples(t, "getImage", http.StatusNotFound)
		s.sendExamples(t, "headImage", http.StatusNotFound)
	})
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, inDevelopment, likeExamples)
		nameless := with("User-Agent", "")
		s.clock.set(exampleRegistration)
		s.send(t, postJSON("/users/regist", map[string]any{"phone": "18866668888", "password": "demo123456", "code": "123456"}, nameless)).want(t, apperr.OK)
		s.clock.set(exampleLogin)
		named := postJSON("/users/login", map[string]any{"phone": "18866668888", "password": "demo123456", "device": "小明的手机"})
		token := bearer(userOf(t, "18866668888", s.send(t, named)).token)
		s.send(t, get("/users/sessions", token)).want(t, apperr.OK)
		s.send(t, get("/users/me/activity", token)).want(t, apperr.OK)
		s.sendExamplesAs(t, "changePassword", token, http.StatusOK)
		s.sendExamples(t, "resetPassword", http.StatusOK, http.StatusOK)
	})
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, inDevelopment, likeExamples)
		s.clock.set(exampleLogin)
		s.sendExamples(t, "registerUser", http.StatusOK, http.StatusConflict)
		s.sendExamples(t, "loginForHomePage", http.StatusOK)
		s.sendExamples(t, "submitLoginPage", http.StatusSeeOther)
		login := decoded[api.LoginResult](t, s.sendExamples(t, "loginUser", http.StatusOK, http.StatusOK))
		s.sendExamplesAs(t, "deleteCurrentUser", bearer(login.Data.Msg.AccessToken), http.StatusOK)
	})
	for _, spec := range operations {
		if len(exampleRequests(t, spec.OperationID)) > 0 && !slices.Contains(sentExamples, spec.OperationID) {
			t.Errorf("the examples of operation %s were not sent", spec.OperationID)
		}
	}
}

// sendImageExamples sends those about a picture, which the path of the examples does not name.
func (s *testServer) sendImageExamples(t testing.TB, token change, stored api.StoredImage) {
	t.Helper()
	s.sendExamplesAs(t, "listImages", token, http.StatusOK)
	s.sendExamplesAs(t, "describeImage", token, http.StatusNotFound)
	s.sendExamplesAs(t, "deleteImage", token, http.StatusNotFound)
	s.sendExamplesAs(t, "judgeImage", token, http.StatusUnauthorized)
	path := "/upload/images/" + stored.ID.String()
	onPath := func(r *http.Request) { r.URL.Path = path }
	s.sendExamplesAs(t, "linkImage", func(r *http.Request) { token(r); r.URL.Path = path + "/link" }, http.StatusOK)
	s.decodeAll(t)
	s.sendExamplesAs(t, "updateImage", func(r *http.Request) { token(r); onPath(r) }, http.StatusOK)
	s.send(t, get("/upload/images", token)).want(t, apperr.OK)
	s.send(t, get(path, token)).want(t, apperr.OK)
}

// likeExamples makes a server whose answers can be those of the examples.
func likeExamples(s *setup) {
	s.api.PublicURL = "http://127.0.0.1:8000"
	s.codes.AnyPhone = "123456"
}

var sentExamples []string

// sendExamples sends the requests of an operation, JSON first, and returns the first answer.
func (s *testServer) sendExamples(t testing.TB, operationID string, wantStatuses ...int) (first answer) {
	t.Helper()
	return s.sendExamplesAs(t, operationID, func(*http.Request) {}, wantStatuses...)
}

// sendExamplesAs sends them as somebody.
func (s *testServer) sendExamplesAs(t testing.TB, operationID string, who change, wantStatuses ...int) (first answer) {
	t.Helper()
	sentExamples = append(sentExamples, operationID)
	requests := exampleRequests(t, operationID)
	if len(requests) != len(wantStatuses) {
		t.Fatalf("operation %s has %d examples, want %d", operationID, len(requests), len(wantStatuses))
	}
	for i, r := range requests {
		who(r)
		a := s.send(t, r).wantStatus(t, wantStatuses[i])
		if i == 0 {
			first = a
		}
	}
	return first
}

// exampleRequests returns the requests that the contract shows.
func exampleRequests(t testing.TB, operationID string) []*http.Request {
	t.Helper()
	for path, item := range document.Paths.Map() {
		for method, spec := range item.Operations() {
			if spec.OperationID != operationID {
				continue
			}
			parameters := slices.Concat(item.Parameters, spec.Parameters)
			requests := exampleParameters(method, path, parameters)
			if spec.RequestBody != nil {
				requests = exampleBodies(t, method, examplePath(path, parameters), spec.RequestBody.Value.Content)
			}
			for _, r := range requests {
				setExampleHeaders(r, parameters)
			}
			return requests
		}
	}
	t.Fatalf("the contract has no operation %s", operationID)
	return nil
}

func exampleBodies(t testing.TB, method, path string, content openapi3.Content) []*http.Request {
	t.Helper()
	var requests []*http.Request
	for _, mediaType := range []string{jsonType, formType} {
		if content[mediaType] == nil {
			continue
		}
		members := content[mediaType].Example.(map[string]any)
		body, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		if mediaType == formType {
			form := url.Values{}
			for key, value := range members {
				form.Set(key, value.(string))
			}
			body = []byte(form.Encode())
		}
		requests = append(requests, newRequest(method, path, mediaType, bytes.NewReader(body)))
	}
	return requests
}

// examplePath has the examples of a path's parameters in their places.
func examplePath(path string, parameters openapi3.Parameters) string {
	for _, parameter := range parameters {
		if parameter.Value.In == openapi3.ParameterInPath {
			path = strings.ReplaceAll(path, "{"+parameter.Value.Name+"}", fmt.Sprint(parameter.Value.Example))
		}
	}
	return path
}

// setExampleHeaders sets those that a request must have.
func setExampleHeaders(r *http.Request, parameters openapi3.Parameters) {
	for _, parameter := range parameters {
		if parameter.Value.In == openapi3.ParameterInHeader && parameter.Value.Required {
			r.Header.Set(parameter.Value.Name, fmt.Sprint(parameter.Value.Example))
		}
	}
}

func exampleParameters(method, path string, parameters openapi3.Parameters) []*http.Request {
	query := url.Values{}
	for _, parameter := range parameters {
		if parameter.Value.In == openapi3.ParameterInQuery && parameter.Value.Example != nil {
			query.Set(parameter.Value.Name, fmt.Sprint(parameter.Value.Example))
		}
	}
	if len(parameters) == 0 {
		return nil
	}
	target := url.URL{Path: examplePath(path, parameters), RawQuery: query.Encode()}
	return []*http.Request{newRequest(method, target.String(), "", nil)}
}

// examplePicture is what the example of an upload describes: 1080 × 720 pixels in 48,213 bytes.
func examplePicture(t testing.TB) []byte {
	t.Helper()
	var plain bytes.Buffer
	if err := jpeg.Encode(&plain, image.NewGray(image.Rect(0, 0, 1080, 720)), nil); err != nil {
		t.Fatal(err)
	}
	return filledUp(plain.Bytes(), 48213)
}

func TestContractIsServed(t *testing.T) {
	s := newServer(t, "")
	yaml := s.send(t, get("/openapi.yaml")).wantStatus(t, http.StatusOK).wantHeader(t, "Content-Type", "application/yaml")
	s.send(t, get("/openapi.json")).wantStatus(t, http.StatusOK)
	for name, body := range map[string][]byte{"YAML": yaml.body, "JSON": s.send(t, get("/openapi.json")).body} {
		served, err := openapi3.NewLoader().LoadFromIoReader(bytes.NewReader(body))
		if err != nil {
			t.Fatalf("read the contract in %s: %v", name, err)
		}
		if len(served.Paths.Map()) != len(document.Paths.Map()) || served.Info.Description != document.Info.Description {
			t.Errorf("the contract in %s is not the one that the server is generated from", name)
		}
	}
}

func TestHealth(t *testing.T) {
	s := newServer(t, "")
	s.send(t, get("/healthz")).want(t, apperr.OK)
	s.send(t, get("/readyz")).want(t, apperr.OK)
	if err := s.database.Close(); err != nil {
		t.Fatal(err)
	}
	s.send(t, get("/healthz")).want(t, apperr.OK)
	s.send(t, get("/readyz")).want(t, apperr.ServerBusy).wantHeader(t, "Retry-After", "1")
}
