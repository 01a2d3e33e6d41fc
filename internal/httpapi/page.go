package httpapi

import (
	"net/http"
	"strconv"

	"gatehouse/internal/site"
)

// htmlPage is the response of every operation that answers with a page.
type htmlPage struct {
	body   []byte
	cookie *string
}

func (p htmlPage) VisitGetHomePageResponse(w http.ResponseWriter) error      { return p.write(w) }
func (p htmlPage) VisitGetLoginPageResponse(w http.ResponseWriter) error     { return p.write(w) }
func (p htmlPage) VisitGetAboutPageResponse(w http.ResponseWriter) error     { return p.write(w) }
func (p htmlPage) VisitLoginForHomePageResponse(w http.ResponseWriter) error { return p.write(w) }

func (p htmlPage) write(w http.ResponseWriter) error {
	setPageHeaders(w.Header(), site.PagePolicy)
	w.Header().Set("Content-Length", strconv.Itoa(len(p.body)))
	if p.cookie != nil {
		w.Header().Set("Set-Cookie", *p.cookie)
	}
	_, err := w.Write(p.body)
	return err
}

func setPageHeaders(header http.Header, policy string) {
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Security-Policy", policy)
	header.Set("Referrer-Policy", "same-origin") // with none, older browsers post forms as from nowhere
	header.Set("Vary", "Accept-Language")
}

func (s *server) redirectToHomePage(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, homePath, http.StatusSeeOther)
}

func (s *server) redirectToDocs(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/docs/", http.StatusSeeOther)
}

func (s *server) docs(w http.ResponseWriter, r *http.Request) {
	page, err := s.Site.Docs(callFrom(r.Context()).language())
	if err != nil {
		s.writeError(w, r, err)
		return
	}
	setPageHeaders(w.Header(), site.DocsPolicy)
	_, _ = w.Write(page) // a client that is gone has no use for the rest
}
