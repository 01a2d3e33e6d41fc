package certificate

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

const lookInterval = time.Second // between two looks at the files

// FilesOptions are where a certificate and its key lie.
type FilesOptions struct {
	CertFile, KeyFile string // PEM; the certificate with its chain
	Logger            *slog.Logger
	Now               func() time.Time
}

// Files serves a certificate from files. When they change, handshakes from then on get the new one, and
// connections that are open go on. Files that do not fit together, or whose certificate has expired,
// are left alone.
type Files struct {
	options FilesOptions
	current atomic.Pointer[tls.Certificate]
	looking atomic.Bool  // by one handshake at a time
	next    atomic.Int64 // when to look again, in nanoseconds

	// Of the handshake that is looking:
	read    stamps // of what is served
	refused stamps // of what cannot be served
	logged  bool   // why
}

// stamps tell whether files have changed.
type stamps struct{ cert, key fs.FileInfo }

func (s stamps) equal(other stamps) bool {
	return sameFile(s.cert, other.cert) && sameFile(s.key, other.key)
}

func sameFile(a, b fs.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// OpenFiles reads the files. A certificate that has expired is served, since a restart makes nothing
// better, but logged.
func OpenFiles(options FilesOptions) (*Files, error) {
	f := &Files{options: options}
	now := f.stat()
	certificate, err := f.load()
	if err != nil {
		return nil, err
	}
	if err := f.checkTime(certificate); err != nil {
		options.Logger.Error("the certificate is of no use; put a new one in its place", "file", options.CertFile, "error", err)
	}
	f.serve(certificate, now)
	return f, nil
}

// TLSConfig serves the certificate.
func (f *Files) TLSConfig() *tls.Config { return newTLSConfig(f.certificate) }

// ExpiresAt is when the certificate expires that is served.
func (f *Files) ExpiresAt() (time.Time, bool) { return f.current.Load().Leaf.NotAfter, true }

func (f *Files) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if now := f.options.Now().UnixNano(); now >= f.next.Load() && f.looking.CompareAndSwap(false, true) {
		f.look()
		f.next.Store(now + int64(lookInterval))
		f.looking.Store(false)
	}
	return f.current.Load(), nil
}

// look reads the files if they have changed. Programs replace one after the other, so what does not fit
// is looked at twice before anything is said. It is tried again at each look: when the key's rights are
// mended or the certificate's time begins, the files do not change.
func (f *Files) look() {
	now := f.stat()
	if now.equal(f.read) {
		f.refused, f.logged = stamps{}, false
		return
	}
	certificate, err := f.load()
	if err == nil {
		err = f.checkTime(certificate)
	}
	if err == nil {
		f.serve(certificate, now)
		f.options.Logger.Info("serving the certificate that the files have now", "file", f.options.CertFile, "expires", certificate.Leaf.NotAfter)
		return
	}
	again := now.equal(f.refused)
	if again && !f.logged {
		f.options.Logger.Error("the certificate's files changed to what cannot be served; the old one is served on", "error", err)
	}
	f.refused, f.logged = now, again
}

func (f *Files) serve(certificate *tls.Certificate, read stamps) {
	f.current.Store(certificate)
	f.read, f.refused, f.logged = read, stamps{}, false
}

// stat looks before the files are read, so that a change meanwhile is seen by the next look.
func (f *Files) stat() stamps {
	cert, _ := os.Stat(f.options.CertFile) // load says what is wrong
	key, _ := os.Stat(f.options.KeyFile)
	return stamps{cert, key}
}

// load reads the pair, whose key must be the certificate's.
func (f *Files) load() (*tls.Certificate, error) {
	certificate, err := tls.LoadX509KeyPair(f.options.CertFile, f.options.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificate %s and its key %s: %w", f.options.CertFile, f.options.KeyFile, err)
	}
	return &certificate, nil
}

func (f *Files) checkTime(certificate *tls.Certificate) error {
	switch now := f.options.Now(); {
	case now.After(certificate.Leaf.NotAfter):
		return errors.New("it expired at " + certificate.Leaf.NotAfter.Format(time.RFC3339))
	case now.Before(certificate.Leaf.NotBefore):
		return errors.New("it is not valid before " + certificate.Leaf.NotBefore.Format(time.RFC3339))
	}
	return nil
}
