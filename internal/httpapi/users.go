package httpapi

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/account"
	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/session"
)

func (s *server) RegisterUser(ctx context.Context, request api.RegisterUserRequestObject) (api.RegisterUserResponseObject, error) {
	body := cmp.Or(request.JSONBody, request.FormdataBody)
	err := s.Accounts.Register(ctx, account.Registration{Phone: body.Phone, Password: body.Password, Code: body.Code})
	if err != nil {
		return nil, err
	}
	return api.RegisterUser200JSONResponse(done()), nil
}

func (s *server) LoginUser(ctx context.Context, request api.LoginUserRequestObject) (api.LoginUserResponseObject, error) {
	body := cmp.Or(request.JSONBody, request.FormdataBody)
	user, opened, err := s.login(ctx, body.Phone, body.Password)
	if err != nil {
		return nil, err
	}
	token, lifetime, err := s.Sessions.AccessToken(opened)
	if err != nil {
		return nil, err
	}
	homeURL, _, err := s.homeURL(ctx, opened)
	if err != nil {
		return nil, err
	}
	return api.LoginUser200JSONResponse{Data: api.LoginData{Msg: api.Login{
		AccessToken: token, TokenType: api.LoginTokenTypeBearer, ExpiresIn: seconds(lifetime),
		HomeURL: homeURL, User: userFromAccount(user),
	}}}, nil
}

func (s *server) LoginForHomePage(ctx context.Context, request api.LoginForHomePageRequestObject) (api.LoginForHomePageResponseObject, error) {
	c := callFrom(ctx)
	if err := checkLoginByURL(c.request); err != nil {
		return nil, err
	}
	_, opened, err := s.login(ctx, request.Params.Phone, request.Params.Password)
	if err != nil {
		return nil, err
	}
	page, err := s.homePage(ctx, c, opened)
	return htmlPage{page, s.cookieOf(c, opened)}, err
}

// checkLoginByURL keeps links of other sites from logging visitors in as somebody else,
// and link previews from logging in at all.
func checkLoginByURL(r *http.Request) error {
	if r.Method == http.MethodHead {
		return apperr.New(apperr.MethodNotAllowed)
	}
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		return apperr.New(apperr.CrossOrigin)
	}
	return nil
}

func (s *server) GetCurrentUser(ctx context.Context, _ api.GetCurrentUserRequestObject) (api.GetCurrentUserResponseObject, error) {
	user, err := s.Accounts.Get(ctx, callFrom(ctx).session.UserID)
	if err != nil {
		return nil, err
	}
	return api.GetCurrentUser200JSONResponse{Data: api.UserData{Msg: userFromAccount(user)}}, nil
}

func (s *server) login(ctx context.Context, phone, password string) (account.User, session.Session, error) {
	user, err := s.Accounts.Login(ctx, phone, password)
	if err != nil {
		return account.User{}, session.Session{}, err
	}
	opened, err := s.Sessions.Open(ctx, user.ID)
	return user, opened, err
}

// homeURL makes a ticket and returns the URL that it opens the home page with, and for how long.
func (s *server) homeURL(ctx context.Context, current session.Session) (string, time.Duration, error) {
	ticket, lifetime, err := s.Sessions.Ticket(ctx, current)
	if err != nil {
		return "", 0, fmt.Errorf("make a home URL: %w", err)
	}
	return s.baseURL(callFrom(ctx)) + homePath + "?ticket=" + url.QueryEscape(ticket), lifetime, nil
}

func seconds(d time.Duration) int64 {
	return int64(d / time.Second)
}

func userFromAccount(user account.User) api.User {
	return api.User{
		ID: uuid.MustParse(user.ID), Phone: user.Phone, Nickname: user.Nickname,
		HomeVisits: user.HomeVisits, LastLoginAt: user.LastLoginAt, CreatedAt: user.CreatedAt,
	}
}

func done() api.Done {
	return api.Done{Data: api.DoneData{Msg: "ok"}}
}
