package httpapi

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"gatehouse/internal/account"
	"gatehouse/internal/api"
	"gatehouse/internal/audit"
	"gatehouse/internal/idempotency"
	"gatehouse/internal/session"
)

func (s *server) RefreshSession(ctx context.Context, request api.RefreshSessionRequestObject) (api.RefreshSessionResponseObject, error) {
	body := cmp.Or(request.JSONBody, request.FormdataBody)
	once := s.once(ctx, request.Params.IdempotencyKey, body.RefreshToken)
	answer, err := once.Do(ctx, func() (answer []byte, err error) {
		prepare := func(refreshed session.Session) (commit idempotency.Commit, err error) {
			answer, err = s.refreshAnswer(ctx, refreshed)
			return once.Commit(ctx, answer), err
		}
		from := audit.Origin{Address: callFrom(ctx).client.String()} // the device keeps its name
		_, err = s.Sessions.Refresh(ctx, body.RefreshToken, from, prepare)
		return answer, err
	})
	return jsonAnswer(answer), err
}

func (s *server) refreshAnswer(ctx context.Context, refreshed session.Session) ([]byte, error) {
	user, err := s.Accounts.Seen(ctx, refreshed.UserID)
	if err != nil {
		return nil, err
	}
	login, err := s.loginResult(callFrom(ctx), user, refreshed)
	if err != nil {
		return nil, err
	}
	return marshal(login)
}

// loginResult is what a login and a refresh give.
func (s *server) loginResult(c *call, user account.User, current session.Session) (api.LoginResult, error) {
	token, lifetime, err := s.Sessions.AccessToken(current)
	if err != nil {
		return api.LoginResult{}, err
	}
	homeURL, _ := s.homeURL(c, current)
	return api.LoginResult{Data: api.LoginData{Msg: api.Login{
		AccessToken: token, TokenType: api.LoginTokenTypeBearer, ExpiresIn: secondsLeft(lifetime),
		RefreshToken: current.RefreshToken, RefreshExpiresIn: secondsLeft(current.RefreshExpiresAt.Sub(s.Now())),
		HomeURL: homeURL, User: s.userFromAccount(c, user),
	}}}, nil
}

func (s *server) LogoutUser(ctx context.Context, _ api.LogoutUserRequestObject) (api.LogoutUserResponseObject, error) {
	if err := s.logout(ctx, callFrom(ctx).session); err != nil {
		return nil, err
	}
	return api.LogoutUser200JSONResponse{DoneJSONResponse: done()}, nil
}

func (s *server) logout(ctx context.Context, current session.Session) error {
	return s.Sessions.Logout(ctx, current, originOf(ctx))
}

func (s *server) ListSessions(ctx context.Context, _ api.ListSessionsRequestObject) (api.ListSessionsResponseObject, error) {
	current := callFrom(ctx).session
	logins, err := s.Sessions.List(ctx, current.UserID)
	if err != nil {
		return nil, err
	}
	sessions := userSessionsFromLogins(logins, current.ID)
	return api.ListSessions200JSONResponse{Data: api.SessionsData{Msg: api.Sessions{Sessions: sessions}}}, nil
}

func (s *server) EndOtherSessions(ctx context.Context, _ api.EndOtherSessionsRequestObject) (api.EndOtherSessionsResponseObject, error) {
	if err := s.Sessions.EndOthers(ctx, callFrom(ctx).session, originOf(ctx)); err != nil {
		return nil, err
	}
	return api.EndOtherSessions200JSONResponse{DoneJSONResponse: done()}, nil
}

func (s *server) EndSession(ctx context.Context, request api.EndSessionRequestObject) (api.EndSessionResponseObject, error) {
	if err := s.Sessions.End(ctx, callFrom(ctx).session.UserID, request.ID.String(), originOf(ctx)); err != nil {
		return nil, err
	}
	return api.EndSession200JSONResponse{DoneJSONResponse: done()}, nil
}

// keySetMaxAge is how long other services may keep the keys; a new one is published longer before it is used.
const keySetMaxAge = "public, max-age=600"

func (s *server) GetKeySet(context.Context, api.GetKeySetRequestObject) (api.GetKeySetResponseObject, error) {
	var set api.KeySet
	for _, key := range s.Sessions.KeySet() {
		set.Keys = append(set.Keys, verificationKeyFromSession(key))
	}
	maxAge := keySetMaxAge
	return api.GetKeySet200JSONResponse{Body: set, Headers: api.GetKeySet200ResponseHeaders{CacheControl: &maxAge}}, nil
}

// originOf is where a request comes from.
func originOf(ctx context.Context) audit.Origin {
	c := callFrom(ctx)
	return audit.Origin{Address: c.client.String(), Device: c.request.UserAgent()}
}

func userSessionsFromLogins(logins []session.Login, current string) []api.UserSession {
	sessions := make([]api.UserSession, len(logins))
	for i, login := range logins {
		sessions[i] = api.UserSession{
			ID: uuid.MustParse(login.ID), Device: login.Device, Address: login.Address,
			CreatedAt: login.CreatedAt, LastSeenAt: login.LastSeenAt, Current: login.ID == current,
		}
	}
	return sessions
}

func verificationKeyFromSession(key session.PublicKey) api.VerificationKey {
	out := api.VerificationKey{
		Kid: key.ID, Kty: api.VerificationKeyKty(key.Type), Crv: api.VerificationKeyCrv(key.Curve),
		Alg: api.VerificationKeyAlg(key.Algorithm), Use: api.VerificationKeyUseSig, X: key.X,
	}
	if key.Y != "" {
		out.Y = &key.Y
	}
	return out
}
