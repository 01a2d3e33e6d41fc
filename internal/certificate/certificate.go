// Package certificate owns where the certificates of HTTPS come from: files, which are read again when
// they change, or a CA that speaks ACME, which is asked for new ones in time.
package certificate

import (
	"crypto/tls"
	"time"
)

// Source has the certificates that a server shows.
type Source interface {
	// TLSConfig is for a server: TLS 1.2 and newer, HTTP/2 and HTTP/1.1.
	TLSConfig() *tls.Config
	// ExpiresAt is when the first of the certificates expires. There may be none yet.
	ExpiresAt() (time.Time, bool)
}

func newTLSConfig(get func(*tls.ClientHelloInfo) (*tls.Certificate, error)) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: get, NextProtos: []string{"h2", "http/1.1"}}
}
