package httpapi

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	openapi_types "github.com/oapi-codegen/runtime/types"

	"gatehouse/internal/account"
	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/session"
)

func (s *server) RegisterUser(ctx context.Context, request api.RegisterUserRequestObject) (api.RegisterUserResponseObject, error) {
	body := cmp.Or(request.JSONBody, request.FormdataBody)
	once := s.once(ctx, request.Params.IdempotencyKey, body.Phone, body.Password, body.Code)
	answer, err := once.Do(ctx, func() ([]byte, error) {
		answer, err := marshal(done())
		if err != nil {
			return nil, err
		}
		registration := account.Registration{Phone: body.Phone, Password: body.Password, Code: body.Code}
		return answer, s.Accounts.Register(ctx, registration, originOf(ctx), once.Commit(ctx, answer))
	})
	return jsonAnswer(answer), err
}

func (s *server) LoginUser(ctx context.Context, request api.LoginUserRequestObject) (api.LoginUserResponseObject, error) {
	body := cmp.Or(request.JSONBody, request.FormdataBody)
	from := originOf(ctx)
	from.Device = cmp.Or(value(body.Device), from.Device)
	user, opened, err := s.Accounts.Login(ctx, account.Credentials{
		Phone: body.Phone, Password: value(body.Password), Code: value(body.Code), StartAfresh: value(body.StartAfresh),
	}, from)
	if err != nil {
		return nil, err
	}
	result, err := s.loginResult(callFrom(ctx), user, opened)
	return api.LoginUser200JSONResponse(result), err
}

func (s *server) LoginForHomePage(ctx context.Context, request api.LoginForHomePageRequestObject) (api.LoginForHomePageResponseObject, error) {
	c := callFrom(ctx)
	if err := checkLoginByURL(c.request); err != nil {
		return nil, err
	}
	opened, err := s.loginOnPage(ctx, request.Params.Phone, request.Params.Password)
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
	c := callFrom(ctx)
	user, err := s.Accounts.Get(ctx, c.session.UserID)
	if err != nil {
		return nil, err
	}
	return api.GetCurrentUser200JSONResponse{Data: api.UserData{Msg: s.userFromAccount(c, user)}}, nil
}

func (s *server) UpdateCurrentUser(ctx context.Context, request api.UpdateCurrentUserRequestObject) (api.UpdateCurrentUserResponseObject, error) {
	c := callFrom(ctx)
	changes, err := s.changesFromAPI(ctx, *request.Body)
	if err != nil {
		return nil, err
	}
	user, err := s.Accounts.Update(ctx, c.session.UserID, changes, originOf(ctx))
	if err != nil {
		return nil, err
	}
	return api.UpdateCurrentUser200JSONResponse{Data: api.UserData{Msg: s.userFromAccount(c, user)}}, nil
}

func (s *server) ChangePassword(ctx context.Context, request api.ChangePasswordRequestObject) (api.ChangePasswordResponseObject, error) {
	err := s.Accounts.ChangePassword(ctx, callFrom(ctx).session, request.Body.OldPassword, request.Body.NewPassword, originOf(ctx))
	if err != nil {
		return nil, err
	}
	return api.ChangePassword200JSONResponse{DoneJSONResponse: done()}, nil
}

func (s *server) ResetPassword(ctx context.Context, request api.ResetPasswordRequestObject) (api.ResetPasswordResponseObject, error) {
	body := cmp.Or(request.JSONBody, request.FormdataBody)
	if err := s.Accounts.ResetPassword(ctx, body.Phone, body.Code, body.NewPassword, originOf(ctx)); err != nil {
		return nil, err
	}
	return api.ResetPassword200JSONResponse{DoneJSONResponse: done()}, nil
}

func (s *server) ChangePhone(ctx context.Context, request api.ChangePhoneRequestObject) (api.ChangePhoneResponseObject, error) {
	body := request.Body
	err := s.Accounts.ChangePhone(ctx, callFrom(ctx).session, body.Phone, body.Code, body.CurrentCode, originOf(ctx))
	if err != nil {
		return nil, err
	}
	return api.ChangePhone200JSONResponse{DoneJSONResponse: done()}, nil
}

func (s *server) DeleteCurrentUser(ctx context.Context, request api.DeleteCurrentUserRequestObject) (api.DeleteCurrentUserResponseObject, error) {
	erasedAt, err := s.Accounts.RequestDeletion(ctx, callFrom(ctx).session.UserID, confirmationFromAPI(*request.Body), originOf(ctx))
	if err != nil {
		return nil, err
	}
	return api.DeleteCurrentUser200JSONResponse{Data: api.DeletionData{Msg: api.Deletion{ErasedAt: erasedAt}}}, nil
}

func (s *server) ListActivity(ctx context.Context, request api.ListActivityRequestObject) (api.ListActivityResponseObject, error) {
	limit, before := defaultEvents, ""
	if request.Params.Limit != nil {
		limit = int(*request.Params.Limit)
	}
	if request.Params.Before != nil {
		before = request.Params.Before.String()
	}
	events, more, err := s.Audit.List(ctx, callFrom(ctx).session.UserID, before, limit)
	if err != nil {
		return nil, err
	}
	return api.ListActivity200JSONResponse{Data: api.ActivityData{Msg: activityFromAudit(events, more)}}, nil
}

// defaultEvents is what the contract says of a page without a limit.
const defaultEvents = 20

// homeURL is where a session opens the home page, once, and for how long.
func (s *server) homeURL(c *call, current session.Session) (string, time.Duration) {
	ticket, lifetime := s.Sessions.Ticket(current)
	return s.baseURL(c) + homePath + "?ticket=" + url.QueryEscape(ticket), lifetime
}

// secondsLeft rounds down, so that who counts on that time has it.
func secondsLeft(d time.Duration) int64 {
	return int64(d / time.Second)
}

// value is what a member that may be absent has, or its zero value.
func value[T any](member *T) T {
	if member == nil {
		var zero T
		return zero
	}
	return *member
}

func (s *server) userFromAccount(c *call, user account.User) api.User {
	out := api.User{
		ID: uuid.MustParse(user.ID), Phone: user.Phone, Nickname: user.Nickname, Bio: user.Bio,
		HasPassword: user.HasPassword, HomeVisits: user.HomeVisits, LastLoginAt: user.LastLoginAt, CreatedAt: user.CreatedAt,
	}
	if user.AvatarID != nil {
		id, address := uuid.MustParse(*user.AvatarID), s.publicImageURL(c, *user.AvatarName)
		out.AvatarID, out.AvatarURL = &id, &address
	}
	if user.Gender != nil {
		gender := api.Gender(*user.Gender)
		out.Gender = &gender
	}
	if user.Metadata != nil {
		out.Metadata = &user.Metadata
	}
	if user.Birthday != nil {
		out.Birthday = &openapi_types.Date{Time: *user.Birthday}
	}
	return out
}

func done() api.DoneJSONResponse {
	return api.DoneJSONResponse{Data: api.DoneData{Msg: "ok"}}
}
