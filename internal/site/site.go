// Package site owns the pages that a person sees: it renders the H5 pages and the API docs, and serves their assets.
package site

import (
	"fmt"

	"gatehouse/internal/apperr"
	"gatehouse/web"
)

// The Content-Security-Policy of the pages. No inline style, script or handler runs on any of them.
const (
	PagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	// DocsPolicy is for Docs: Swagger UI posts no form of its own.
	DocsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
		"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// Options say where the files come from.
type Options struct {
	Dir    string // holds templates/ and assets/ whose single files go before the embedded ones; empty for none
	Reload bool   // read the files again at each request, for development
}

// Site renders pages and serves assets. Its methods may be called at the same time.
type Site struct {
	files   overlay
	reload  bool
	swagger assets   // never changes, so it is unpacked once
	loaded  *content // as it was read by New
}

// content is all that was read from the files at one moment.
type content struct {
	assets assets
	pages  pages
}

// New reads and tries out every file. Its error names the file that is wrong.
func New(options Options) (*Site, error) {
	files, err := newOverlay(options.Dir, web.Files)
	if err != nil {
		return nil, err
	}
	swagger, err := swaggerAssets()
	if err != nil {
		return nil, err
	}
	s := &Site{files: files, reload: options.Reload, swagger: swagger}
	s.loaded, err = s.load()
	return s, err
}

func (s *Site) load() (*content, error) {
	assets, err := loadAssets(s.files, s.swagger)
	if err != nil {
		return nil, err
	}
	pages, err := loadPages(s.files, assets)
	if err != nil {
		return nil, err
	}
	return &content{assets: assets, pages: pages}, nil
}

// current returns what pages and assets are made of now. Beside an error stands what New had read.
func (s *Site) current() (*content, error) {
	if !s.reload {
		return s.loaded, nil
	}
	fresh, err := s.load()
	if err != nil {
		return s.loaded, err
	}
	return fresh, nil
}

// Home is what the home page shows of its visitor.
type Home struct {
	Nickname string
	Visits   int64 // this one included
}

// Home renders the home page.
func (s *Site) Home(language apperr.Language, home Home) ([]byte, error) {
	return s.render("home", language, home)
}

// Login is what the login page shows.
type Login struct {
	Refusal string // why the last try was refused; empty at the first
}

// Login renders the login page. Its form posts phone and password to /h5/login.
func (s *Site) Login(language apperr.Language, login Login) ([]byte, error) {
	return s.render("login", language, login)
}

// Switch is a visitor who is logged in as one user and comes with the ticket of another.
type Switch struct {
	Current, Next string // nicknames
	Ticket        string
}

// Switch renders the question whether to go on as the other user. Its form posts ticket to /h5/session.
func (s *Site) Switch(language apperr.Language, question Switch) ([]byte, error) {
	return s.render("switch", language, question)
}

// About renders the page that says what this is.
func (s *Site) About(language apperr.Language) ([]byte, error) {
	return s.render("about", language, nil)
}

// Docs renders Swagger UI for the contract at /openapi.yaml. It is sent under DocsPolicy.
func (s *Site) Docs(language apperr.Language) ([]byte, error) {
	return s.render("docs", language, nil)
}

// Error is a failure as a person is told of it.
type Error struct {
	Status    int
	Message   string
	RequestID string
	Cause     string // for the developer; empty in production
}

// Error renders the error page, from what New had read where a file has become wrong since.
func (s *Site) Error(language apperr.Language, failure Error) ([]byte, error) {
	now, _ := s.current()
	return now.pages.render("error", language, failure)
}

// render makes a page completely before a byte of it is sent.
func (s *Site) render(name string, language apperr.Language, data any) ([]byte, error) {
	now, err := s.current()
	if err != nil {
		return nil, fmt.Errorf("render page %s: %w", name, err)
	}
	return now.pages.render(name, language, data)
}
