package servertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certificate is a certificate that trusts itself, in files.
type Certificate struct {
	File    string
	KeyFile string
	X509    *x509.Certificate
}

// NewCertificate makes a certificate of a name or an address that is valid for a day.
func NewCertificate(tb testing.TB, name string) *Certificate {
	tb.Helper()
	return NewCertificateUntil(tb, name, time.Now().Add(24*time.Hour))
}

// NewCertificateUntil makes a certificate of a name or an address.
func NewCertificateUntil(tb testing.TB, name string, notAfter time.Time) *Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: notAfter,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	content, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	keyContent, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(content)
	if err != nil {
		tb.Fatal(err)
	}
	dir := tb.TempDir()
	c := &Certificate{File: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), X509: parsed}
	writePEM(tb, c.File, "CERTIFICATE", content)
	writePEM(tb, c.KeyFile, "PRIVATE KEY", keyContent)
	return c
}

func writePEM(tb testing.TB, file, kind string, content []byte) {
	tb.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// Pool trusts this certificate and no other.
func (c *Certificate) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.X509)
	return pool
}

// Client returns a client that trusts this certificate and no other.
func (c *Certificate) Client() *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.Pool()}}
	return &http.Client{Transport: transport, Timeout: time.Minute}
}
