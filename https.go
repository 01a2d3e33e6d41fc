package main

import (
	"context"
	"net/http"
	"strings"
	"time"

	"gatehouse/internal/certificate"
)

// redirectFront is the name of the front that redirects plain HTTP.
const redirectFront = "redirect"

// openCertificates reads the certificates that there are, where the server speaks HTTPS.
func (a *app) openCertificates(ctx context.Context) error {
	switch {
	case a.options.TLSCert != "":
		files, err := certificate.OpenFiles(certificate.FilesOptions{
			CertFile: a.options.TLSCert, KeyFile: a.options.TLSKey, Logger: a.log, Now: time.Now,
		})
		if err != nil {
			return err
		}
		a.certificates = files
	case len(a.options.ACMEDomain) > 0:
		key, err := a.secret.key("certificates")
		if err != nil {
			return err
		}
		a.acme, err = certificate.NewACME(certificate.ACMEOptions{
			Database: a.database, SealKey: key, Logger: a.log, Now: time.Now, Domains: texts(a.options.ACMEDomain),
			Email: a.options.ACMEEmail, Directory: string(a.options.ACMEDirectory),
		})
		if err != nil {
			return err
		}
		a.certificates = a.acme
		return a.acme.Load(ctx)
	}
	return nil
}

// addHTTPS puts TLS on the API's front, and adds the one that redirects to it.
func (a *app) addHTTPS() {
	if a.certificates != nil {
		a.fronts[0].server.TLSConfig = a.certificates.TLSConfig()
	}
	if !a.options.Redirects() {
		return
	}
	handler := redirectTo(string(a.options.PublicURL))
	if a.acme != nil {
		handler = a.acme.ChallengeHandler(handler)
	}
	a.fronts = append(a.fronts, newFront(redirectFront, string(a.options.RedirectAddr), handler, a.log))
}

// redirectTo sends a request to the same path of a base URL, whatever host it names, and keeps its method.
func redirectTo(base string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.RequestURI()
		if !strings.HasPrefix(path, "/") { // OPTIONS *
			path = "/"
		}
		http.Redirect(w, r, base+path, http.StatusPermanentRedirect)
	})
}

// missingCertificates are the domains whose certificate is still to come.
func (a *app) missingCertificates() []string {
	if a.acme == nil {
		return nil
	}
	return a.acme.Missing()
}

// answerCA tells where what the CA asks arrives.
func (a *app) answerCA() {
	on := certificate.Listening{HTTPS: a.fronts[0].listener.Addr()}
	if redirect := a.front(redirectFront); redirect != nil {
		on.HTTP = redirect.listener.Addr()
	}
	a.acme.AnswerOn(on)
}
