package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"
)

// Address is a TCP address to listen on: host:port, where the host may be empty.
type Address string

// UnmarshalText reads host:port, :port or a port alone.
func (a *Address) UnmarshalText(text []byte) error {
	address := string(text)
	if _, err := strconv.ParseUint(address, 10, 16); err == nil {
		address = ":" + address
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("want host:port, such as :9000 or 127.0.0.1:9000")
	}
	*a = Address(address)
	return nil
}

func (a Address) host() string {
	host, _, _ := net.SplitHostPort(string(a)) // UnmarshalText has checked it
	return host
}

// PublicURL is the address at which apps reach the server: scheme and host, without a slash at the end.
type PublicURL string

// UnmarshalText reads an http or https URL without a path, and drops a slash at the end.
func (u *PublicURL) UnmarshalText(text []byte) error {
	origin, err := parseOrigin(strings.TrimSuffix(string(text), "/"))
	if err != nil || (origin.Scheme != "http" && origin.Scheme != "https") {
		return errors.New("want http:// or https:// and a host, without a path, such as https://app.example.com")
	}
	*u = PublicURL(origin.String())
	return nil
}

// safe reports whether nobody can read on the way what is sent to the URL.
func (u PublicURL) safe() bool {
	parsed, err := url.Parse(string(u))
	return err == nil && (parsed.Scheme == "https" || isLoopback(parsed.Hostname()))
}

// Origin is what a browser sends in the Origin header: scheme://host[:port].
type Origin string

// UnmarshalText reads an origin. Patterns, "*" and "null" are refused.
func (o *Origin) UnmarshalText(text []byte) error {
	origin, err := parseOrigin(string(text))
	if err != nil {
		return err
	}
	*o = Origin(origin.String())
	return nil
}

// parseOrigin returns a URL of scheme and host, in the form that browsers send.
func parseOrigin(text string) (*url.URL, error) {
	parsed, err := url.Parse(strings.ToLower(text))
	if err != nil || parsed.Scheme == "" || parsed.Hostname() == "" || strings.Contains(parsed.Host, "*") ||
		parsed.Scheme+"://"+parsed.Host != parsed.String() {
		return nil, errors.New("want scheme://host[:port] without a path, such as https://app.example.com")
	}
	if (parsed.Scheme == "https" && parsed.Port() == "443") || (parsed.Scheme == "http" && parsed.Port() == "80") {
		parsed.Host = strings.TrimSuffix(parsed.Host, ":"+parsed.Port())
	}
	return parsed, nil
}

// Database is the URL of a MySQL database, or empty for SQLite. It prints without its
// password; a conversion to string reveals it.
type Database string

// UnmarshalText reads a URL. Its error never repeats the URL.
func (d *Database) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	if err != nil || (len(text) > 0 && !namesMySQL(parsed)) {
		return errors.New("want mysql://user:password@host[:port]/name, with special characters in the password " +
			"percent-encoded, or nothing for SQLite in the data folder")
	}
	*d = Database(text)
	return nil
}

func namesMySQL(u *url.URL) bool {
	name := strings.TrimPrefix(u.Path, "/")
	return u.Scheme == "mysql" && u.User.Username() != "" && u.Hostname() != "" &&
		name != "" && !strings.Contains(name, "/") && u.Fragment == ""
}

// String returns the URL with its password masked.
func (d Database) String() string {
	parsed, err := url.Parse(string(d))
	if err != nil {
		return "(masked)"
	}
	return parsed.Redacted()
}

// GoString masks the password for %#v too.
func (d Database) GoString() string { return strconv.Quote(d.String()) }

// MarshalText masks the password for JSON and logs too.
func (d Database) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Size is a number of bytes.
type Size int64

// UnmarshalText reads sizes such as 50MB (50,000,000) and 50MiB (52,428,800).
func (s *Size) UnmarshalText(text []byte) error {
	bytes, err := humanize.ParseBytes(string(text))
	if err != nil || bytes > math.MaxInt64 {
		return errors.New("want a size, such as 50MB or 50MiB")
	}
	*s = Size(bytes)
	return nil
}

// String returns the size in the largest unit that is exact.
func (s Size) String() string {
	units := []struct {
		bytes Size
		name  string
	}{{1e9, "GB"}, {1 << 30, "GiB"}, {1e6, "MB"}, {1 << 20, "MiB"}, {1e3, "KB"}, {1 << 10, "KiB"}}
	for _, unit := range units {
		if s != 0 && s%unit.bytes == 0 {
			return fmt.Sprintf("%d%s", s/unit.bytes, unit.name)
		}
	}
	return fmt.Sprintf("%dB", s)
}

// decodePrefix reads a network, or a single address as a network of one address.
func decodePrefix(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("network", &text); err != nil {
		return err
	}
	prefix, err := netip.ParsePrefix(text)
	if address, single := netip.ParseAddr(text); single == nil {
		prefix, err = address.Prefix(address.BitLen())
	}
	if err != nil {
		return errors.New("want a network, such as 10.0.0.0/8, or an address")
	}
	target.Set(reflect.ValueOf(prefix.Masked()))
	return nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && address.IsLoopback())
}
