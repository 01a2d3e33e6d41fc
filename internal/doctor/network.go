package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"gatehouse/internal/database"
	"gatehouse/internal/verify"
)

const (
	// soon is when a certificate should have been renewed: ACME does so 30 days before its end.
	soon = 14 * 24 * time.Hour
	// mostAnswered bounds what is read of an answer.
	mostAnswered = 4 << 10
)

// expiry says how long a certificate is valid.
func expiry(what string, until time.Time) Finding {
	left := time.Until(until)
	days := int(left.Hours() / 24)
	switch {
	case left <= 0:
		return problem("renew it; see why that did not happen by itself", "the certificate of %s has expired on %s", what, until.Format(time.DateOnly))
	case left < soon:
		return warn("renew it; see why that did not happen by itself", "the certificate of %s expires in %d days", what, days)
	}
	return ok("the certificate of %s is valid for %d days", what, days)
}

// CertificateFile looks at the first certificate in a file of PEM.
func CertificateFile(path string) func(context.Context) []Finding {
	return func(context.Context) []Finding {
		content, err := os.ReadFile(path)
		if err != nil {
			return []Finding{problem("see --tls-cert", "%v", err)}
		}
		block, _ := pem.Decode(content)
		if block == nil {
			return []Finding{problem("see --tls-cert: it must be PEM", "%s has no certificate", path)}
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return []Finding{problem("see --tls-cert", "%s: %v", path, err)}
		}
		return []Finding{expiry(path, certificate.NotAfter)}
	}
}

// PublicURL asks the server at its public address whether it is alive, as apps would. roots may be nil.
func PublicURL(base string, roots *x509.CertPool) func(context.Context) []Finding {
	return func(ctx context.Context) (found []Finding) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
		client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/healthz", nil)
		if err != nil {
			return []Finding{problem("see --public-url", "%v", err)}
		}
		response, err := client.Do(request)
		if err != nil {
			return []Finding{unreachable(base, err)}
		}
		defer response.Body.Close()
		if response.TLS != nil {
			found = append(found, expiry(base, response.TLS.PeerCertificates[0].NotAfter))
		}
		body, err := io.ReadAll(io.LimitReader(response.Body, mostAnswered))
		if err != nil || response.StatusCode != http.StatusOK {
			return append(found, problem("see that the server runs, and that the proxy passes /healthz to it",
				"%s/healthz answers %d: %.100q", base, response.StatusCode, body))
		}
		return append(found, ok("%s is reached, and says that it is alive", base))
	}
}

// unreachable tells a bad certificate from a server that is away.
func unreachable(base string, err error) Finding {
	if invalid, is := errors.AsType[x509.CertificateInvalidError](err); is && invalid.Reason == x509.Expired {
		return problem("renew it; see why that did not happen by itself", "the certificate of %s has expired: %v", base, invalid.Error())
	}
	if _, is := errors.AsType[x509.HostnameError](err); is {
		return problem("use a certificate for this name", "the certificate of %s is for another name: %v", base, err)
	}
	if _, is := errors.AsType[x509.UnknownAuthorityError](err); is {
		return problem("let the server send the whole chain (fullchain.pem), of an authority that devices know",
			"the certificate of %s is of nobody whom this machine knows: %v", base, err)
	}
	return problem("see the name in DNS, the firewall, the proxy and whether the server runs", "%s can't be reached: %v", base, err)
}

// Budgets look at how many codes were sent, and whether somebody asks for too many.
func Budgets(open func(ctx context.Context) (*database.Database, error), budgets verify.Budgets) func(context.Context) []Finding {
	return func(ctx context.Context) (found []Finding) {
		d, err := open(ctx)
		if err != nil {
			return []Finding{warn("see the database", "how many codes were sent is unknown")}
		}
		defer d.Close()
		strain, err := verify.MeasureStrain(ctx, d, budgets, time.Now())
		if err != nil {
			return []Finding{warn("see the database", "%v", err)}
		}
		if len(strain.Stopped) > 0 {
			found = append(found, warn("see account.log for who asks for codes that nobody uses, and think of --captcha",
				"the breaker is open for numbers that begin with %s", strings.Join(strain.Stopped, ", ")))
		}
		if budgets.Server > 0 && strain.Sent*5 >= budgets.Server*4 {
			return append(found, warn("see account.log for who asks for so many; raise --sms-budget-day if they are users",
				"%d of the %d codes of today are sent", strain.Sent, budgets.Server))
		}
		return append(found, ok("%d codes were sent today", strain.Sent))
	}
}

// SMS connects to where codes are sent, and sends nothing.
func SMS(sender, endpoint string) func(context.Context) []Finding {
	return func(ctx context.Context) []Finding {
		u, err := url.Parse(endpoint)
		if err != nil {
			return []Finding{problem("see --sms-endpoint", "the endpoint can't be read")}
		}
		address := net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme]))
		if err := connect(ctx, u, address); err != nil {
			return []Finding{problem("see the firewall, DNS and --sms-endpoint", "%s at %s can't be reached: %v", sender, address, err)}
		}
		return []Finding{ok("%s at %s can be connected to; nothing was sent", sender, address)}
	}
}

func connect(ctx context.Context, u *url.URL, address string) error {
	var conn net.Conn
	var err error
	if u.Scheme == "https" {
		conn, err = (&tls.Dialer{Config: &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", address)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return conn.Close()
}
