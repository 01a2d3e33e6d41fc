package httpapi

import (
	"context"
	"fmt"
	"net/http"

	"gatehouse/internal/account"
	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/session"
	"gatehouse/internal/site"
)

const (
	homePath  = "/h5/home"
	loginPath = "/h5/login"
)

func (s *server) CreateHomeTicket(ctx context.Context, _ api.CreateHomeTicketRequestObject) (api.CreateHomeTicketResponseObject, error) {
	homeURL, lifetime := s.homeURL(callFrom(ctx), callFrom(ctx).session)
	return api.CreateHomeTicket200JSONResponse{Data: api.HomeTicketData{
		Msg: api.HomeTicket{HomeURL: homeURL, ExpiresIn: secondsLeft(lifetime)},
	}}, nil
}

func (s *server) GetHomePage(ctx context.Context, request api.GetHomePageRequestObject) (api.GetHomePageResponseObject, error) {
	c := callFrom(ctx)
	if request.Params.Ticket != nil {
		return s.openWithTicket(ctx, c, *request.Params.Ticket)
	}
	if c.session.ID == "" {
		return redirect(loginPath), nil
	}
	page, err := s.homePage(ctx, c, c.session)
	if apperr.Is(err, apperr.NotLoggedIn) {
		return redirect(loginPath), nil
	}
	return htmlPage{body: page}, err
}

// homePage renders the page and counts the visit; one that only asks for the headers is none.
func (s *server) homePage(ctx context.Context, c *call, current session.Session) ([]byte, error) {
	visit := s.Accounts.VisitHome
	if c.request.Method == http.MethodHead {
		visit = s.Accounts.Get
	}
	user, err := visit(ctx, current.UserID)
	if err != nil {
		return nil, err
	}
	return s.Site.Home(c.language(), site.Home{Nickname: user.Nickname, Visits: user.HomeVisits})
}

// openWithTicket turns a ticket into a cookie, unless that would replace another user's session.
func (s *server) openWithTicket(ctx context.Context, c *call, ticket string) (api.GetHomePageResponseObject, error) {
	if c.request.Method == http.MethodHead { // link previews look, and must not use a ticket up
		return redirect(homePath), nil
	}
	next, err := s.Sessions.PeekTicket(ctx, ticket)
	if apperr.Is(err, apperr.NotLoggedIn) { // used, or too old: whoever is logged in goes on, others log in there
		return redirect(homePath), nil
	}
	if err != nil {
		return nil, err
	}
	if c.session.ID != "" && c.session.UserID != next.UserID {
		page, err := s.switchPage(ctx, c, next, ticket)
		if apperr.Is(err, apperr.NotLoggedIn) { // one of the two is no user any more
			return redirect(loginPath), nil
		}
		return htmlPage{body: page}, err
	}
	return s.redeem(ctx, c, ticket)
}

func (s *server) switchPage(ctx context.Context, c *call, next session.Session, ticket string) ([]byte, error) {
	current, err := s.Accounts.Get(ctx, c.session.UserID)
	if err != nil {
		return nil, err
	}
	other, err := s.Accounts.Get(ctx, next.UserID)
	if err != nil {
		return nil, err
	}
	return s.Site.Switch(c.language(), site.Switch{Current: current.Nickname, Next: other.Nickname, Ticket: ticket})
}

func (s *server) SwitchSession(ctx context.Context, request api.SwitchSessionRequestObject) (api.SwitchSessionResponseObject, error) {
	c := callFrom(ctx)
	if err := s.checkOrigin(c.request); err != nil {
		return nil, err
	}
	return s.redeem(ctx, c, request.Body.Ticket)
}

// redeem goes on to the home page, with a new session if the ticket is still good.
func (s *server) redeem(ctx context.Context, c *call, ticket string) (redirection, error) {
	opened, err := s.Sessions.RedeemTicket(ctx, ticket)
	if apperr.Is(err, apperr.NotLoggedIn) {
		return redirect(homePath), nil
	}
	if err != nil {
		return redirection{}, err
	}
	return redirectWithCookie(homePath, s.cookieOf(c, opened)), nil
}

func (s *server) GetLoginPage(ctx context.Context, _ api.GetLoginPageRequestObject) (api.GetLoginPageResponseObject, error) {
	page, err := s.Site.Login(callFrom(ctx).language(), site.Login{})
	return htmlPage{body: page}, err
}

func (s *server) SubmitLoginPage(ctx context.Context, request api.SubmitLoginPageRequestObject) (api.SubmitLoginPageResponseObject, error) {
	c := callFrom(ctx)
	if err := s.checkOrigin(c.request); err != nil {
		return nil, err
	}
	opened, err := s.loginOnPage(ctx, request.Body.Phone, request.Body.Password)
	if err != nil {
		return nil, err
	}
	return redirectWithCookie(homePath, s.cookieOf(c, opened)), nil
}

func (s *server) SubmitLogout(ctx context.Context, _ api.SubmitLogoutRequestObject) (api.SubmitLogoutResponseObject, error) {
	c := callFrom(ctx)
	if err := s.checkOrigin(c.request); err != nil {
		return nil, err
	}
	if c.session.ID != "" {
		if err := s.logout(ctx, c.session); err != nil {
			return nil, fmt.Errorf("log out from a page: %w", err)
		}
	}
	expired := (&http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1}).String()
	return redirectWithCookie(loginPath, &expired), nil
}

// loginOnPage logs a browser in by the user's password.
func (s *server) loginOnPage(ctx context.Context, phone, password string) (session.Session, error) {
	_, opened, err := s.Accounts.Login(ctx, account.Credentials{Phone: phone, Password: password}, originOf(ctx))
	return opened, err
}

func (s *server) GetAboutPage(ctx context.Context, _ api.GetAboutPageRequestObject) (api.GetAboutPageResponseObject, error) {
	page, err := s.Site.About(callFrom(ctx).language())
	return htmlPage{body: page}, err
}

// redirection is a SeeOther, which every operation that redirects has in the same form.
type redirection = api.SeeOtherResponse

func redirect(path string) redirection {
	return redirectWithCookie(path, nil)
}

func redirectWithCookie(path string, cookie *string) redirection {
	return redirection{Headers: api.SeeOtherResponseHeaders{Location: &path, SetCookie: cookie}}
}
