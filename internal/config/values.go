package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"
	"github.com/redis/go-redis/v9"

	"gatehouse/internal/storage"
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

func (a Address) port() string {
	_, port, _ := net.SplitHostPort(string(a)) // UnmarshalText has checked it
	return port
}

// AdminAddress is a TCP address to listen on, which always has a host, or NoAdmin.
type AdminAddress string

// NoAdmin serves no metrics.
const NoAdmin AdminAddress = "none"

// UnmarshalText reads none, host:port, :port or a port alone. Without a host it is on this machine only: who opens it
// to others must say so.
func (a *AdminAddress) UnmarshalText(text []byte) error {
	if string(text) == string(NoAdmin) {
		*a = NoAdmin
		return nil
	}
	var address Address
	if err := address.UnmarshalText(text); err != nil {
		return errors.New("want host:port, such as 127.0.0.1:9000, or none")
	}
	if address.host() == "" {
		address = "127.0.0.1" + ":" + Address(address.port())
	}
	*a = AdminAddress(address)
	return nil
}

// Loopback reports whether only this machine reaches the address.
func (a AdminAddress) Loopback() bool { return isLoopback(Address(a).host()) }

// IsOpen reports whether other machines may reach the address.
func (a AdminAddress) IsOpen() bool { return a != NoAdmin && !a.Loopback() }

// AccelPath is where nginx has the folder of pictures, for itself only.
type AccelPath string

var accelPath = regexp.MustCompile(`^/([A-Za-z0-9_-]+/)+$`)

// UnmarshalText reads a path that nothing needs to be escaped in.
func (p *AccelPath) UnmarshalText(text []byte) error {
	if len(text) > 0 && !accelPath.Match(text) {
		return errors.New("want a path that begins and ends with a slash, such as /internal-pictures/")
	}
	*p = AccelPath(text)
	return nil
}

// RedirectAddress is an Address, or none.
type RedirectAddress string

// NoRedirect redirects nothing.
const NoRedirect RedirectAddress = "none"

// UnmarshalText reads an address, or none.
func (r *RedirectAddress) UnmarshalText(text []byte) error {
	if string(text) == string(NoRedirect) {
		*r = NoRedirect
		return nil
	}
	var address Address
	if err := address.UnmarshalText(text); err != nil {
		return fmt.Errorf("%w, or none", err)
	}
	*r = RedirectAddress(address)
	return nil
}

// Domain is a name that a CA can make a certificate of without asking its DNS.
type Domain string

var domainName = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

// UnmarshalText reads a name of letters, digits and hyphens.
func (d *Domain) UnmarshalText(text []byte) error {
	name := strings.ToLower(string(text))
	if !domainName.MatchString(name) || len(name) > 253 {
		return errors.New("want a name such as app.example.com, without a wildcard; one in another script as xn--…")
	}
	*d = Domain(name)
	return nil
}

// Directory is the URL by which a CA says what it offers.
type Directory string

// UnmarshalText reads a URL of https.
func (d *Directory) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	if err != nil || parsed.Scheme != "https" || parsed.Hostname() == "" || parsed.User != nil || parsed.Fragment != "" {
		return errors.New("want https:// and a host, such as https://acme-v02.api.letsencrypt.org/directory")
	}
	*d = Directory(text)
	return nil
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

// host is without the port.
func (u PublicURL) host() string {
	parsed, err := url.Parse(string(u))
	if err != nil {
		return "" // UnmarshalText has checked it
	}
	return parsed.Hostname()
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

func (d Database) masked() {}

// Redis is the URL of a Redis, or empty. It prints without its password; a conversion to string
// reveals it.
type Redis string

// UnmarshalText reads a URL. Its error never repeats the URL.
func (r *Redis) UnmarshalText(text []byte) error {
	if len(text) > 0 && !namesRedis(string(text)) {
		return errors.New("want redis://[user:password@]host[:port][/number], rediss:// for TLS or unix:///path of a socket, " +
			"with special characters in the password percent-encoded, or nothing")
	}
	*r = Redis(text)
	return nil
}

// namesRedis refuses a user without a password, which is a password without its colon, and an @
// further on, which may be the end of a password that was cut.
func namesRedis(text string) bool {
	parsed, err := url.Parse(text)
	if err != nil || (parsed.Scheme != "unix" && parsed.Hostname() == "") {
		return false
	}
	if _, protected := parsed.User.Password(); parsed.User != nil && !protected {
		return false
	}
	parsed.User = nil
	_, err = redis.ParseURL(text)
	return err == nil && !strings.Contains(parsed.String(), "@")
}

// String returns the URL with its password masked.
func (r Redis) String() string { return Database(r).String() }

// GoString masks the password for %#v too.
func (r Redis) GoString() string { return strconv.Quote(r.String()) }

// MarshalText masks the password for JSON and logs too.
func (r Redis) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func (r Redis) masked() {}

// mask is printed in the place of a secret.
const mask = "xxxxx"

// Secret prints masked; a conversion to string reveals it.
type Secret string

// String tells only whether there is a secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString masks the secret for %#v too.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText masks the secret for JSON and logs too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Secret) masked() {}

// TestPhone is a phone number as it was given, and the one code that it takes, which prints masked.
type TestPhone struct {
	Phone string
	Code  Secret
}

var testPhone = regexp.MustCompile(`^(\+?[0-9]{5,15})=([0-9]{6})$`)

// UnmarshalText reads PHONE=CODE. Its error never repeats the code.
func (t *TestPhone) UnmarshalText(text []byte) error {
	parts := testPhone.FindSubmatch(text)
	if parts == nil {
		return errors.New("want a phone number and a code of six digits, such as 18866668888=123456")
	}
	*t = TestPhone{Phone: string(parts[1]), Code: Secret(parts[2])}
	return nil
}

// String returns the phone with its code masked.
func (t TestPhone) String() string { return t.Phone + "=" + t.Code.String() }

func (t TestPhone) masked() {}

// PhonePrefix is what phone numbers in E.164 begin with: +86.
type PhonePrefix string

var phonePrefix = regexp.MustCompile(`^\+?([1-9][0-9]{0,14})$`)

// UnmarshalText reads a prefix. The + may be missing: in a YAML file, +86 is the number 86.
func (p *PhonePrefix) UnmarshalText(text []byte) error {
	digits := phonePrefix.FindSubmatch(text)
	if digits == nil {
		return errors.New("want a country and perhaps more digits, such as +86")
	}
	*p = PhonePrefix("+" + string(digits[1]))
	return nil
}

// Endpoint is the URL of another service's API. What follows the host may be secret and prints masked;
// a conversion to string reveals it.
type Endpoint string

// UnmarshalText reads a URL of https, or of http on this machine. Its error never repeats the URL.
func (e *Endpoint) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	if err != nil || parsed.Hostname() == "" || parsed.User != nil || parsed.Fragment != "" ||
		(parsed.Scheme != "https" && (parsed.Scheme != "http" || !isLoopback(parsed.Hostname()))) {
		return errors.New("want https:// and a host, or http:// and this machine, such as https://sms.example.com/codes")
	}
	*e = Endpoint(text)
	return nil
}

// String returns the URL with what follows the host masked.
func (e Endpoint) String() string {
	parsed, err := url.Parse(string(e))
	if err != nil {
		return mask
	}
	if strings.Trim(parsed.Path, "/") == "" && parsed.RawQuery == "" {
		return string(e)
	}
	return parsed.Scheme + "://" + parsed.Host + "/" + mask
}

// GoString masks it for %#v too.
func (e Endpoint) GoString() string { return strconv.Quote(e.String()) }

// MarshalText masks it for JSON and logs too.
func (e Endpoint) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

func (e Endpoint) masked() {}

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

// Storage is where pictures are stored, or empty. Its keys are options of their own.
type Storage string

// UnmarshalText reads a location.
func (s *Storage) UnmarshalText(text []byte) error {
	if len(text) > 0 {
		if _, err := storage.ParseLocation(string(text)); err != nil {
			return err
		}
	}
	*s = Storage(text)
	return nil
}

// isS3 reports whether it needs a key.
func (s Storage) isS3() bool { return strings.HasPrefix(string(s), "s3:") }

// BackupPlace is where backups are, or empty: a location of a storage, or the path of a folder.
type BackupPlace string

// UnmarshalText reads a location, or a path.
func (b *BackupPlace) UnmarshalText(text []byte) error {
	place := string(text)
	if place != "" && !strings.Contains(place, "://") {
		place = "file://" + place
	}
	if place != "" {
		if _, err := storage.ParseLocation(place); err != nil {
			return err
		}
	}
	*b = BackupPlace(place)
	return nil
}

func (b BackupPlace) isS3() bool { return strings.HasPrefix(string(b), "s3:") }

// isWithin reports whether it is a folder, or lies in it.
func (b BackupPlace) isWithin(folder string) bool {
	location, err := storage.ParseLocation(string(b))
	if err != nil || location.Dir == "" {
		return false
	}
	place, placeErr := filepath.Abs(location.Dir)
	folder, folderErr := filepath.Abs(folder)
	path, err := filepath.Rel(folder, place)
	return errors.Join(placeErr, folderErr, err) == nil && filepath.IsLocal(path)
}

// ImagePreset is a name for the size and format in which pictures are shown.
type ImagePreset struct {
	Name          string
	Width, Height int
	Fit, Format   string
	Quality       int
	text          string
}

var (
	presetName   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	presetValues = map[string]*regexp.Regexp{
		"w": regexp.MustCompile(`^[1-9][0-9]{0,4}$`), "h": regexp.MustCompile(`^[1-9][0-9]{0,4}$`),
		"q":   regexp.MustCompile(`^([1-9][0-9]?|100)$`),
		"fit": regexp.MustCompile(`^(inside|cover|contain)$`), "format": regexp.MustCompile(`^(jpeg|webp|png)$`),
	}
)

// UnmarshalText reads NAME=QUERY, where the query is what would follow the ? in the URL of a picture.
func (i *ImagePreset) UnmarshalText(text []byte) error {
	name, query, _ := strings.Cut(string(text), "=")
	values, err := url.ParseQuery(query)
	wrong := err != nil || !presetName.MatchString(name) || values.Get("w")+values.Get("h") == ""
	for key, given := range values {
		allowed := presetValues[key]
		wrong = wrong || allowed == nil || len(given) != 1 || !allowed.MatchString(given[0])
	}
	if wrong {
		return errors.New("want a name and what it stands for, of w, h, fit, format and q, such as avatar=w=160&h=160&fit=cover")
	}
	number := func(key string) int { n, _ := strconv.Atoi(values.Get(key)); return n } // 0 where it is missing
	*i = ImagePreset{
		Name: name, Width: number("w"), Height: number("h"), Quality: number("q"),
		Fit: values.Get("fit"), Format: values.Get("format"), text: string(text),
	}
	return nil
}

// String returns the preset as it was given.
func (i ImagePreset) String() string { return i.text }

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
