package httpapi

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
)

func TestProfile(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u, other := s.newUser(t), s.newUser(t)
		token := bearer(u.token)
		uploaded := decoded[api.UploadResult](t, s.send(t, uploadOf([]file{{"a.png", tinyPNG(t)}}, token))).Data.Msg.Images[0]
		foreign := decoded[api.UploadResult](t, s.send(t, uploadOf([]file{{"a.png", tinyPNG(t)}}, bearer(other.token)))).Data.Msg.Images[0]
		steps := []struct {
			name    string
			changes map[string]any
			want    string // of the user, without what does not change
		}{
			{"nothing", map[string]any{}, `nickname:用户0001`},
			{"everything", map[string]any{
				"nickname": "小明", "avatarId": uploaded.ID, "birthday": "2000-02-29", "gender": "female", "bio": "你好", "metadata": map[string]any{"a": 1.5},
			}, `nickname:小明 avatarUrl:` + uploaded.URL + ` birthday:2000-02-29 gender:female bio:你好 metadata:map[a:1.5]`},
			{"what is absent stays", map[string]any{"bio": ""}, `nickname:小明 avatarUrl:` + uploaded.URL + ` birthday:2000-02-29 gender:female bio: metadata:map[a:1.5]`},
			{"null removes", map[string]any{"avatarId": nil, "birthday": nil, "gender": nil, "bio": nil, "nickname": nil}, `nickname:用户0001 metadata:map[a:1.5]`},
			{"an empty object is one", map[string]any{"metadata": map[string]any{}}, `nickname:用户0001 metadata:map[]`},
			{"null metadata", map[string]any{"metadata": nil}, `nickname:用户0001`},
		}
		for _, step := range steps {
			t.Run(step.name, func(t *testing.T) {
				changed := decoded[api.UserResult](t, s.send(t, patchMe(step.changes, token))).Data.Msg
				read := decoded[api.UserResult](t, s.send(t, get("/users/me", token))).Data.Msg
				if got := profileText(changed); got != step.want || profileText(read) != step.want {
					t.Errorf("changed to %s\nread as    %s\nwant       %s", got, profileText(read), step.want)
				}
			})
		}
		refused := map[string]struct {
			changes map[string]any
			want    apperr.Code
		}{
			"another's picture":     {map[string]any{"avatarId": foreign.ID}, apperr.ImageNotFound},
			"no picture":            {map[string]any{"avatarId": u.id}, apperr.ImageNotFound},
			"no id":                 {map[string]any{"avatarId": marker}, apperr.InvalidInput},
			"empty nickname":        {map[string]any{"nickname": ""}, apperr.InvalidInput},
			"long nickname":         {map[string]any{"nickname": strings.Repeat("长", 65)}, apperr.InvalidInput},
			"line break":            {map[string]any{"nickname": "a\nb"}, apperr.InvalidInput},
			"29 February":           {map[string]any{"birthday": "2001-02-29"}, apperr.InvalidInput},
			"not born yet":          {map[string]any{"birthday": s.clock.Now().AddDate(1, 0, 0).Format("2006-01-02")}, apperr.InvalidInput},
			"another gender":        {map[string]any{"gender": marker}, apperr.InvalidInput},
			"long bio":              {map[string]any{"bio": strings.Repeat("长", 501)}, apperr.InvalidInput},
			"metadata is a list":    {map[string]any{"metadata": []int{1}}, apperr.InvalidInput},
			"metadata over 8 KiB":   {map[string]any{"metadata": map[string]any{"a": strings.Repeat("x", 8192)}}, apperr.InvalidInput},
			"bio is a number":       {map[string]any{"bio": 1}, apperr.InvalidInput},
			"the body is no object": {nil, apperr.InvalidInput},
		}
		for name, test := range refused {
			t.Run(name, func(t *testing.T) { s.send(t, patchMe(test.changes, token)).want(t, test.want) })
		}
	})
}

// profileText is what a user has told.
func profileText(u api.User) string {
	text := "nickname:" + u.Nickname
	if u.AvatarURL != nil {
		text += " avatarUrl:" + *u.AvatarURL
	}
	if u.Birthday != nil {
		text += " birthday:" + u.Birthday.String()
	}
	if u.Gender != nil {
		text += " gender:" + string(*u.Gender)
	}
	if u.Bio != nil {
		text += " bio:" + *u.Bio
	}
	if u.Metadata != nil {
		text += fmt.Sprint(" metadata:", *u.Metadata)
	}
	return text
}

func TestChangePassword(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		other := s.login(t, u.phone)
		change := func(from, to string) answer {
			return s.send(t, postJSON("/users/password", map[string]any{"oldPassword": from, "newPassword": to}, bearer(u.token)))
		}
		change(password+"!", newPassword).want(t, apperr.WrongPassword)
		change(password, "password123").want(t, apperr.CommonPassword)
		change(password, "short").want(t, apperr.InvalidInput)
		change(password, newPassword).want(t, apperr.OK)
		s.send(t, get("/users/me", bearer(u.token))).want(t, apperr.OK)
		s.send(t, get("/users/me", bearer(other.token))).want(t, apperr.NotLoggedIn)
		s.send(t, credentials(u.phone, password)).want(t, apperr.WrongPassword)
		s.send(t, credentials(u.phone, newPassword)).want(t, apperr.OK)
	})
}

func TestResetPassword(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url, withRealCodes)
		s.send(t, codeRequest("18866668888", "register")).want(t, apperr.OK)
		s.send(t, postJSON("/users/regist", map[string]any{
			"phone": "18866668888", "password": password, "code": s.inbox.last(t, "+8618866668888"),
		})).want(t, apperr.OK)
		u := s.login(t, "18866668888")
		reset := func(phone, code, to string) answer {
			return s.send(t, postForm("/users/password/reset", []string{"phone", phone, "code", code, "newPassword", to}))
		}
		s.send(t, codeRequest("18866668888", "login")).want(t, apperr.OK)
		reset("18866668888", s.inbox.last(t, "+8618866668888"), newPassword).want(t, apperr.CodeExpired) // is for another purpose
		s.send(t, codeRequest("18866668888", "reset")).want(t, apperr.OK)
		right := s.inbox.last(t, "+8618866668888")
		reset("18866668888", otherCode(right), newPassword).want(t, apperr.WrongCode)
		reset("18866668888", right, "qwertyuiop").want(t, apperr.CommonPassword)
		reset("18866668888", "no digits", newPassword).want(t, apperr.InvalidInput)
		reset("18866668888", right, newPassword).want(t, apperr.OK)
		s.send(t, get("/users/me", bearer(u.token))).want(t, apperr.NotLoggedIn)
		s.send(t, credentials("18866668888", newPassword)).want(t, apperr.OK)
		s.send(t, codeRequest("18866669999", "reset")).want(t, apperr.OK)
		reset("18866669999", s.inbox.last(t, "+8618866669999"), newPassword).want(t, apperr.NotRegistered)
	})
}

func TestCommonPasswordAtRegistration(t *testing.T) {
	s := newServer(t, "")
	s.send(t, postJSON("/users/regist", map[string]any{"phone": "18866668888", "password": "12345678", "code": code})).want(t, apperr.CommonPassword)
}

func TestChangePhone(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u, other := s.newUser(t), s.newUser(t)
		change := func(phone, code, currentCode string) answer {
			return s.send(t, postJSON("/users/phone", map[string]any{"phone": phone, "code": code, "currentCode": currentCode}, bearer(u.token)))
		}
		change("18866668888", "000000", code).want(t, apperr.WrongCode)
		change("18866668888", code, "000000").want(t, apperr.WrongCode)
		change(other.phone, code, code).want(t, apperr.AlreadyRegistered)
		change(u.phone, code, code).want(t, apperr.InvalidInput)
		change("18866668888", code, code).want(t, apperr.OK)
		s.send(t, credentials(u.phone, password)).want(t, apperr.NotRegistered)
		if again := s.login(t, "18866668888"); again.id != u.id {
			t.Errorf("the phone logs in %s, want %s", again.id, u.id)
		}
		s.send(t, get("/users/me", bearer(u.token))).want(t, apperr.OK).wantText(t, "+8618866668888")
	})
}

// TestCodesThatWereNotSent asks for the code of another purpose everywhere.
func TestCodesThatWereNotSent(t *testing.T) {
	s := newServer(t, "", withRealCodes, func(s *setup) { s.accounts.RegisterAtLogin = true })
	s.send(t, codeRequest("18866668888", "login")).want(t, apperr.OK)
	right := s.inbox.last(t, "+8618866668888")
	u := userOf(t, "18866668888", s.send(t, codeLogin("18866668888", right)))
	s.send(t, codeLogin("18866668888", right)).want(t, apperr.CodeExpired)
	for _, path := range []string{"/users/me/deletion", "/users/me/export"} {
		s.send(t, postJSON(path, map[string]any{"code": right}, bearer(u.token))).want(t, apperr.CodeExpired)
	}
	s.send(t, postJSON("/users/password", map[string]any{"oldPassword": password, "newPassword": newPassword}, bearer(u.token))).
		want(t, apperr.InvalidInput) // has none
}

// TestChangePhoneByUsedCodes takes the real codes of both phones, once.
func TestChangePhoneByUsedCodes(t *testing.T) {
	s := newServer(t, "", withRealCodes, func(s *setup) { s.accounts.RegisterAtLogin = true })
	s.send(t, codeRequest("18866668888", "login")).want(t, apperr.OK)
	u := userOf(t, "18866668888", s.send(t, codeLogin("18866668888", s.inbox.last(t, "+8618866668888"))))
	for _, phone := range []string{"18866668888", "18866669999"} {
		s.send(t, codeRequest(phone, "change-phone", bearer(u.token))).want(t, apperr.OK)
	}
	codes := map[string]any{
		"phone": "18866669999", "code": s.inbox.last(t, "+8618866669999"), "currentCode": s.inbox.last(t, "+8618866668888"),
	}
	s.send(t, postJSON("/users/phone", codes, bearer(u.token))).want(t, apperr.OK)
	codes["phone"], codes["code"], codes["currentCode"] = "18866668888", codes["currentCode"], codes["code"]
	s.send(t, postJSON("/users/phone", codes, bearer(u.token))).want(t, apperr.CodeExpired)
}

func TestDeletion(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		other := s.login(t, u.phone)
		ask := func(by user, confirmation map[string]any) answer {
			return s.send(t, postJSON("/users/me/deletion", confirmation, bearer(by.token)))
		}
		ask(u, map[string]any{}).want(t, apperr.InvalidInput)
		ask(u, map[string]any{"password": password + "!"}).want(t, apperr.WrongPassword)
		ask(u, map[string]any{"code": "000000"}).want(t, apperr.WrongCode)
		deletion := decoded[api.DeletionResult](t, ask(u, map[string]any{"password": password})).Data.Msg
		if want := s.clock.Now().Add(7 * day); deletion.ErasedAt.Sub(want).Abs() > time.Second {
			t.Errorf("erased at %s, want %s", deletion.ErasedAt, want)
		}
		for _, session := range []user{u, other} {
			s.send(t, get("/users/me", bearer(session.token))).want(t, apperr.NotLoggedIn)
			s.send(t, refresh(session.refreshToken)).want(t, apperr.InvalidRefreshToken)
		}
		s.send(t, registration(u.phone)).want(t, apperr.AlreadyRegistered)
		restored := s.login(t, u.phone)
		if restored.id != u.id {
			t.Errorf("restored %s, want %s", restored.id, u.id)
		}
		ask(restored, map[string]any{"code": code}).want(t, apperr.OK)
		s.clock.advance(8 * day)
		s.send(t, credentials(u.phone, password)).want(t, apperr.NotRegistered)
	})
}

func TestExport(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u, other := s.newUser(t), s.newUser(t)
		picture := tinyPNG(t)
		for _, owner := range []user{u, u, other} {
			s.send(t, uploadOf([]file{{"我的照片.png", picture}}, bearer(owner.token))).want(t, apperr.OK)
		}
		ask := func(confirmation map[string]any) answer {
			return s.send(t, postJSON("/users/me/export", confirmation, bearer(u.token)))
		}
		ask(map[string]any{}).want(t, apperr.InvalidInput)
		ask(map[string]any{"password": password + "!"}).want(t, apperr.WrongPassword)
		ask(map[string]any{"code": "000000"}).want(t, apperr.WrongCode)
		a := ask(map[string]any{"password": password}).wantStatus(t, http.StatusOK).wantHeader(t, "Content-Type", "application/zip")
		files := unzip(t, a.body)
		pictures := 0
		for name, content := range files {
			if strings.HasPrefix(name, "images/") {
				if pictures++; !bytes.Equal(content, picture) || !strings.HasSuffix(name, ".png") {
					t.Errorf("%s is not the picture", name)
				}
			}
		}
		if pictures != 2 || !bytes.Contains(files["profile.json"], []byte(u.id)) || !bytes.Contains(files["sessions.json"], []byte(u.sessionID)) ||
			!bytes.Contains(files["activity.json"], []byte(`"register"`)) || !bytes.Contains(files["images.json"], []byte("我的照片.png")) {
			t.Errorf("the export is incomplete: %d pictures\n%s", pictures, files["profile.json"])
		}
		if bytes.Contains(slices.Concat(files["profile.json"], files["sessions.json"], files["activity.json"]), []byte("argon2id")) {
			t.Error("the export has the hash of the password")
		}
	})
}

func unzip(t testing.TB, archive []byte) map[string][]byte {
	t.Helper()
	opened, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range opened.File {
		content, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[f.Name], err = io.ReadAll(content); err != nil {
			t.Fatalf("read %s: %v", f.Name, err)
		}
	}
	return files
}

func TestActivity(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		s.clock.advance(time.Second)
		s.send(t, credentials(u.phone, password+"!")).want(t, apperr.WrongPassword)
		s.clock.advance(time.Second)
		s.send(t, patchMe(map[string]any{"bio": "here"}, bearer(u.token))).want(t, apperr.OK)
		page := func(query string) api.Activity {
			return decoded[api.ActivityResult](t, s.send(t, get("/users/me/activity"+query, bearer(u.token)))).Data.Msg
		}
		var actions []string
		for _, event := range page("").Events {
			actions = append(actions, string(event.Action))
		}
		if want := []string{"profile-changed", "login-failed", "login", "register"}; !slices.Equal(actions, want) {
			t.Errorf("actions are %v, want %v", actions, want)
		}
		first := page("?limit=3")
		second := page("?limit=3&before=" + first.Next.String())
		if len(first.Events) != 3 || len(second.Events) != 1 || second.Next != nil || second.Events[0].Action != "register" {
			t.Errorf("pages are %+v and %+v", first, second)
		}
		for _, query := range []string{"?limit=0", "?limit=101", "?limit=x", "?before=" + marker} {
			s.send(t, get("/users/me/activity"+query, bearer(u.token))).want(t, apperr.InvalidInput)
		}
	})
}
