package httpapi

import (
	"context"
	"fmt"
	"net/url"

	"github.com/google/uuid"

	"gatehouse/internal/account"
	"gatehouse/internal/api"
	"gatehouse/internal/session"
	"gatehouse/internal/site"
)

func (s *server) RegisterUser(ctx context.Context, request api.RegisterUserRequestObject) (api.RegisterUserResponseObject, error) {
	body := request.JSONBody
	if body == nil {
		body = request.FormdataBody
	}
	err := s.Accounts.Register(ctx, account.Registration{Phone: body.Phone, Password: body.Password, Code: body.Code})
	if err != nil {
		return nil, err
	}
	return api.RegisterUser200JSONResponse(done()), nil
}

func (s *server) LoginUser(ctx context.Context, request api.LoginUserRequestObject) (api.LoginUserResponseObject, error) {
	body := request.JSONBody
	if body == nil {
		body = request.FormdataBody
	}
	user, opened, err := s.login(ctx, body.Phone, body.Password)
	if err != nil {
		return nil, err
	}
	token, err := s.Sessions.AccessToken(opened)
	if err != nil {
		return nil, err
	}
	homeURL, err := s.homeURL(ctx, opened)
	if err != nil {
		return nil, err
	}
	return api.LoginUser200JSONResponse{Data: api.LoginData{Msg: api.Login{
		AccessToken: token, TokenType: api.LoginTokenTypeBearer, ExpiresIn: int64(s.AccessTokenLifetime.Seconds()),
		HomeURL: homeURL, User: userFromAccount(user),
	}}}, nil
}

func (s *server) LoginForHomePage(ctx context.Context, request api.LoginForHomePageRequestObject) (api.LoginForHomePageResponseObject, error) {
	user, opened, err := s.login(ctx, request.Params.Phone, request.Params.Password)
	if err != nil {
		return nil, err
	}
	if user, err = s.Accounts.VisitHome(ctx, user.ID); err != nil {
		return nil, err
	}
	c := callFrom(ctx)
	page, err := s.Site.Home(c.language(), site.Home{Nickname: user.Nickname, Visits: user.HomeVisits})
	if err != nil {
		return nil, err
	}
	return htmlPage{page, s.cookieOf(c, opened)}, nil
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

// homeURL makes a ticket and returns the URL that it opens the home page with.
func (s *server) homeURL(ctx context.Context, current session.Session) (string, error) {
	ticket, err := s.Sessions.Ticket(ctx, current)
	if err != nil {
		return "", fmt.Errorf("make a home URL: %w", err)
	}
	return s.baseURL(callFrom(ctx)) + "/h5/home?ticket=" + url.QueryEscape(ticket), nil
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
