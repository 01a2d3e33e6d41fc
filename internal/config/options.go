package config

import (
	"net/netip"
	"time"

	"gatehouse/internal/limit"
	"gatehouse/internal/logging"
)

// Mode is what the server runs for.
type Mode string

// Dev is for trying things out on one machine, Production for serving others.
const (
	Dev        Mode = "dev"
	Production Mode = "production"
)

// SMS is how verification codes reach a phone.
type SMS string

// SMSDev accepts one code from everyone; SMSNone sends nothing and checks only the form of a code;
// SMSLog writes codes into the log; the others send them.
const (
	SMSDev     SMS = "dev"
	SMSNone    SMS = "none"
	SMSLog     SMS = "log"
	SMSWebhook SMS = "webhook"
	SMSTencent SMS = "tencent"
	SMSAliyun  SMS = "aliyun"
	SMSTwilio  SMS = "twilio"
)

// Captcha is who tells people from programs before a code is sent.
type Captcha string

// CaptchaNone asks nobody.
const (
	CaptchaNone      Captcha = "none"
	CaptchaTurnstile Captcha = "turnstile"
	CaptchaHCaptcha  Captcha = "hcaptcha"
	CaptchaGeetest   Captcha = "geetest"
	CaptchaWebhook   Captcha = "webhook"
)

// Moderation is who decides whether a picture may be seen.
type Moderation string

// ModerationNone lets everybody see a picture at once.
const (
	ModerationNone    Moderation = "none"
	ModerationWebhook Moderation = "webhook"
)

// TokenAlgorithm is how access tokens are signed.
type TokenAlgorithm string

// EdDSA is faster; ES256 is for services whose libraries do not know it.
const (
	EdDSA TokenAlgorithm = "eddsa"
	ES256 TokenAlgorithm = "es256"
)

// Compat is the server whose answers are imitated.
type Compat string

// CompatBooklet serves apps that were written for the booklet's server.
const (
	CompatNone    Compat = "none"
	CompatBooklet Compat = "booklet"
)

// LogFormat is the format of log lines.
type LogFormat string

// LogConsole is for people, LogJSON for programs.
const (
	LogConsole LogFormat = "console"
	LogJSON    LogFormat = "json"
)

// Options are all settings of the server. The name of a field in kebab case is its flag and its key in the file.
// The tags enum, min and max are checked for every source.
type Options struct {
	Server     `embed:"" group:"How it runs"`
	HTTPS      `embed:"" group:"HTTPS"`
	Data       `embed:"" group:"Where data is stored"`
	Backups    `embed:"" group:"Backups"`
	Callers    `embed:"" group:"Who may call, and how"`
	RateLimits `embed:"" group:"Limits"`
	Pictures   `embed:"" group:"Pictures"`
	Codes      `embed:"" group:"Verification codes"`
	Accounts   `embed:"" group:"Accounts"`
	Passwords  `embed:"" group:"Passwords (argon2id)"`
	Sessions   `embed:"" group:"Sessions"`
	Logs       `embed:"" group:"Logs"`
}

// Server is how the server runs.
type Server struct {
	Config         string        `placeholder:"FILE" help:"A YAML file of options: their names below, without the dashes, as keys."`
	Mode           Mode          `enum:"dev,production" default:"dev" placeholder:"MODE" help:"What the server is run for: dev serves this machine only and needs nothing else, production serves everyone and names what it still needs (default ${default})."`
	LAN            bool          `name:"lan" help:"Open dev mode to the local network, to try it on a phone."`
	Addr           Address       `placeholder:"[HOST]:PORT" help:"Where to listen; port 0 takes a free one (default 127.0.0.1:8000; :8000 with --lan or in production, where it is :443 with HTTPS). Without a host, dev mode listens on 127.0.0.1."`
	AdminAddr      AdminAddress  `placeholder:"[HOST]:PORT" help:"Where metrics and profiles are served, for those who operate the server: 127.0.0.1 where no host is named, and none for nowhere. Nobody has to log in there (default 127.0.0.1:9000, or a free port where --addr has port 0)."`
	PublicURL      PublicURL     `name:"public-url" placeholder:"URL" help:"The address at which apps reach this server, such as https://app.example.com. Production needs it, with https unless the host is this machine."`
	ShutdownDelay  time.Duration `default:"0s" min:"0s" max:"5m" placeholder:"TIME" help:"How long a server that is told to stop goes on serving while /readyz says that it is not ready, so that load balancers turn away first (default ${default})."`
	ShutdownIdle   time.Duration `default:"5s" min:"0s" max:"5m" placeholder:"TIME" help:"In production, how long a server that stops leaves connections open that are idle, so that a proxy, whose own time for them is shorter, gives them up first and no request is lost (default ${default})."`
	AdminAddrGiven bool          `kong:"-"` // else the server can do without it
	Compat         Compat        `enum:"none,booklet" default:"none" placeholder:"SERVER" help:"Imitate another server: booklet answers apps written against the booklet's server unchanged (default ${default})."`
}

// HTTPS is where certificates come from, and what becomes of plain HTTP.
type HTTPS struct {
	TLSCert       string          `name:"tls-cert" placeholder:"FILE" help:"Serve HTTPS with this certificate, followed by its chain, in PEM. Changed files are used at once, without a restart."`
	TLSKey        string          `name:"tls-key" placeholder:"FILE" help:"The private key of that certificate, in PEM."`
	ACMEDomain    []Domain        `name:"acme-domain" placeholder:"NAME" help:"Serve HTTPS with a certificate of this name, such as app.example.com, that is fetched from a CA and renewed; its terms are agreed to. The CA must reach the server on port 443 or 80. May be repeated."`
	ACMEEmail     string          `name:"acme-email" placeholder:"ADDRESS" help:"Where the CA may write to, should there be a problem."`
	ACMEDirectory Directory       `name:"acme-directory" default:"https://acme-v02.api.letsencrypt.org/directory" placeholder:"URL" help:"The CA, by its ACME directory (default ${default}, Let's Encrypt). For one of your own, name its root certificate in the environment variable SSL_CERT_FILE."`
	RedirectAddr  RedirectAddress `placeholder:"[HOST]:PORT" help:"Where to listen for plain HTTP, which is redirected to --public-url, or none (default :80 in production with HTTPS, else none)."`
	HSTS          time.Duration   `name:"hsts" default:"0s" min:"0s" max:"17520h" placeholder:"TIME" help:"For how long browsers that came by HTTPS shall refuse plain HTTP (Strict-Transport-Security), such as 8760h; 0s says nothing (default ${default}). It cannot be taken back before."`
}

// SpeaksHTTPS reports whether the server itself does, without a proxy.
func (h HTTPS) SpeaksHTTPS() bool { return h.TLSCert != "" || len(h.ACMEDomain) > 0 }

// Redirects reports whether the server listens for plain HTTP too.
func (h HTTPS) Redirects() bool { return h.RedirectAddr != NoRedirect }

// Data is where the server stores its data.
type Data struct {
	DataDir             string   `default:"./data" placeholder:"DIR" help:"The folder of the database, pictures, logs and the secret (default ${default})."`
	Database            Database `placeholder:"URL" help:"mysql://user:password@host[:port]/name for MySQL or MariaDB. Without it, SQLite in the data folder."`
	DatabaseConnections int      `default:"0" min:"0" max:"10000" placeholder:"N" help:"The most connections to the database; 0 chooses for the database."`
	SecretFile          string   `placeholder:"FILE" help:"The file of the one secret that keys and links come from. Dev mode makes one in the data folder; production needs one."`
	Storage             Storage  `placeholder:"URL" help:"Where pictures are stored: file:///folder, or s3://bucket[/prefix]?endpoint=https://host&region=name (default the folder image in the data folder)."`
	StorageFallback     Storage  `placeholder:"URL" help:"Where pictures are looked for that --storage does not have, while they are moved from there."`
	StorageKeyID        string   `name:"storage-key-id" placeholder:"ID" help:"The name of the access key of S3."`
	StorageKeySecret    Secret   `placeholder:"SECRET" help:"The secret of that key."`
	WebDir              string   `placeholder:"DIR" help:"A folder whose files replace built-in pages and assets of the same name. Dev mode takes ./web where it exists."`
}

// Backups are where backups are made to, and how often.
type Backups struct {
	BackupTo        BackupPlace   `placeholder:"URL" help:"Where backups are made to: a folder, or s3://bucket[/prefix]?endpoint=https://host&region=name."`
	BackupEvery     time.Duration `default:"0s" min:"0s" max:"720h" placeholder:"TIME" help:"How often the servers make a backup there, such as 24h; of several, one does. 0s is never (default ${default})."`
	BackupKeep      int           `default:"7" min:"0" max:"10000" placeholder:"N" help:"How many backups stay there when a new one is made; 0 is all (default ${default})."`
	BackupKeyID     string        `name:"backup-key-id" placeholder:"ID" help:"The name of the access key of the S3 of backups (default --storage-key-id)."`
	BackupKeySecret Secret        `placeholder:"SECRET" help:"The secret of that key (default --storage-key-secret)."`
}

// Callers are the proxies and origins that may call the server.
type Callers struct {
	TrustedProxy []netip.Prefix `placeholder:"CIDR" help:"Networks of the proxies whose X-Forwarded-* and X-Real-IP headers are believed, such as 10.0.0.0/8. May be repeated."`
	CORSOrigin   []Origin       `name:"cors-origin" placeholder:"ORIGIN" help:"Origins whose scripts may call the API, such as https://app.example.com. May be repeated."`
}

// RateLimits are how many requests somebody may make, and where they are counted.
type RateLimits struct {
	Limits limit.Limits `placeholder:"LIMITS" help:"How many requests an address or a user may make: off (the default in dev mode), default, or default and what differs from it: default,credentials=20/m."`
	Redis  Redis        `placeholder:"URL" help:"redis://[user:password@]host[:port][/number], rediss:// for TLS or unix:// for a socket: counts limits for several servers together, and tells them at once of logins that end. Without it, each counts its own limits; budgets and failures are in the database."`
}

// Pictures are what is taken of pictures, and how they are shown.
type Pictures struct {
	UploadLimit        Size          `default:"50MiB" min:"1KB" max:"10GB" placeholder:"SIZE" help:"The most bytes in one upload, such as 50MB or 50MiB (default ${default})."`
	UploadFiles        int           `default:"9" min:"1" max:"1000" placeholder:"N" help:"The most pictures in one upload (default ${default})."`
	UploadLifetime     time.Duration `default:"24h" min:"1m" max:"720h" placeholder:"TIME" help:"How long an upload in pieces may rest before it is given up; in all it may take seven times as long (default ${default})."`
	QuotaImages        int           `default:"0" min:"0" max:"1000000000" placeholder:"N" help:"The most pictures of one user; 0 is no limit (default ${default})."`
	QuotaBytes         Size          `default:"0" min:"0" max:"1000TB" placeholder:"SIZE" help:"The most bytes of all pictures of one user; 0 is no limit (default none)."`
	ImagePixels        int           `default:"52428800" min:"1" max:"1000000000" placeholder:"N" help:"The most pixels of a picture, and of each frame of an animation (default ${default}, 50 megapixels)."`
	ImageSide          int           `default:"65535" min:"1" max:"65535" placeholder:"N" help:"The most pixels on a side of a picture (default ${default})."`
	ImageFrames        int           `default:"1000" min:"1" max:"100000" placeholder:"N" help:"The most frames of an animation (default ${default})."`
	ImageDetails       bool          `help:"Keep when a photograph was taken, and with what camera. Where it was taken is never kept."`
	ImageURL           PublicURL     `name:"image-url" placeholder:"URL" help:"The address of a CDN in front of this server, for the URLs of public pictures (default --public-url)."`
	ImageSizes         []int         `default:"32,64,96,160,240,320,480,640,800,1080,1440,1920,2560" placeholder:"N" help:"The sides of pictures that may be asked for, in pixels; others are rounded up (default ${default})."`
	ImagePreset        []ImagePreset `default:"avatar=w=160&h=160&fit=cover" placeholder:"NAME=QUERY" help:"A name for a size that apps ask for as preset=NAME (default ${default}). May be repeated."`
	ImageCache         Size          `default:"64MiB" min:"0" max:"1TB" placeholder:"SIZE" help:"Memory for small pictures that are loaded often; 0 is none (default ${default})."`
	AccelRedirect      AccelPath     `placeholder:"PATH" help:"Let nginx send the pictures that lie in a folder: the path under which it has that folder, such as /internal-pictures/. Only proxies that --trusted-proxy names are answered so, and the group of this process may read the pictures."`
	ImageDecodes       int           `default:"0" min:"0" max:"1024" placeholder:"N" help:"Pictures that are decoded at once; 0 is one for each core."`
	ImageMemory        Size          `default:"256MiB" min:"1MiB" max:"1TB" placeholder:"SIZE" help:"Memory that the decoding of pictures may take together; one that needs more is decoded alone (default ${default})."`
	ImageWait          time.Duration `default:"5s" min:"0s" max:"1m" placeholder:"TIME" help:"How long a request waits for a picture's turn to be decoded before it is told to come back (default ${default})."`
	Moderation         Moderation    `enum:"none,webhook" default:"none" placeholder:"NAME" help:"Who decides whether a new picture may be seen: webhook posts each to --moderation-endpoint and holds it back until a signed answer (default ${default})."`
	ModerationEndpoint Endpoint      `placeholder:"URL" help:"Where webhook posts pictures; with https unless the host is this machine."`
	ModerationSecret   Secret        `placeholder:"SECRET" help:"The secret that signs those requests and their answers."`
}

// Codes are how verification codes are sent, to whom and how many.
type Codes struct {
	SMS              SMS           `name:"sms" enum:"dev,none,log,webhook,tencent,aliyun,twilio" default:"" placeholder:"SENDER" help:"How verification codes are sent: dev takes 123456 from everyone (the default in dev mode, refused in production), none sends nothing and checks only the form of the code of a registration, log writes them into the log, webhook posts them to --sms-endpoint; tencent, aliyun and twilio send them."`
	SMSEndpoint      Endpoint      `name:"sms-endpoint" placeholder:"URL" help:"Where webhook posts codes, or another address of the provider; with https unless the host is this machine."`
	SMSKeyID         string        `name:"sms-key-id" placeholder:"ID" help:"The provider's name for the key: SecretId of tencent, AccessKeyId of aliyun, account SID of twilio."`
	SMSKeySecret     Secret        `name:"sms-key-secret" placeholder:"SECRET" help:"The secret of that key: SecretKey, AccessKeySecret, auth token; the secret that signs the requests of webhook."`
	SMSApp           string        `name:"sms-app" placeholder:"ID" help:"SdkAppId of tencent."`
	SMSSign          string        `name:"sms-sign" placeholder:"NAME" help:"The name that signs messages; for twilio the number or messaging service that sends them. In a file, put a number in quotes."`
	SMSTemplate      string        `name:"sms-template" placeholder:"ID" help:"The template of messages; for twilio the text itself, with {code} and {minutes}."`
	SMSRegion        string        `name:"sms-region" placeholder:"NAME" help:"The provider's region, such as ap-guangzhou for tencent."`
	TestPhone        []TestPhone   `placeholder:"PHONE=CODE" help:"A phone number that takes this code and is sent none, for those who review the app, such as 18866668888=123456. May be repeated."`
	SMSPrefix        []PhonePrefix `name:"sms-prefix" default:"+86" placeholder:"+N" help:"What the phone numbers begin with that codes are sent to (default ${default}). May be repeated."`
	SMSBudgetPhone   int           `name:"sms-budget-phone" default:"10" min:"0" max:"1000000" placeholder:"N" help:"The most codes a day to one phone; 0 is no limit, here and below (default ${default})."`
	SMSBudgetAddress int           `name:"sms-budget-address" default:"20" min:"0" max:"1000000" placeholder:"N" help:"The most codes a day that one client address may ask for (default ${default})."`
	SMSBudgetRange   int           `name:"sms-budget-range" default:"500" min:"0" max:"1000000" placeholder:"N" help:"The most codes a day to one range of phone numbers, which is the country and five digits (default ${default})."`
	SMSBudgetDay     int           `name:"sms-budget-day" default:"10000" min:"0" max:"100000000" placeholder:"N" help:"The most codes a day for the whole server (default ${default})."`
	Captcha          Captcha       `enum:"none,turnstile,hcaptcha,geetest,webhook" default:"none" placeholder:"NAME" help:"Who tells people from programs before a code is sent to a suspicious phone or address (default ${default})."`
	CaptchaID        string        `name:"captcha-id" placeholder:"ID" help:"The site's key, which apps know too; captcha_id of geetest."`
	CaptchaSecret    Secret        `placeholder:"SECRET" help:"The secret that belongs to it; the secret that signs the requests of webhook."`
	CaptchaEndpoint  Endpoint      `placeholder:"URL" help:"Where webhook asks, or another address of the provider; with https unless the host is this machine."`
}

// Accounts are how accounts come and go.
type Accounts struct {
	RegisterAtLogin bool          `help:"Register a phone at once that logs in with a code and is not registered."`
	HideRegistered  bool          `help:"Answer a login to an unregistered phone like a wrong password, so that nobody can find out who is registered."`
	AbsentAfter     time.Duration `default:"4320h" min:"0s" max:"87600h" placeholder:"TIME" help:"After how long an absence a code alone does not log in, since the phone may be somebody else's now; 0s is never (default ${default}, 180 days)."`
	DeletionGrace   time.Duration `default:"168h" min:"0s" max:"8760h" placeholder:"TIME" help:"How long a deleted account can be restored by logging in, before it is erased (default ${default}, 7 days)."`
	AuditRetention  time.Duration `default:"4320h" min:"24h" max:"87600h" placeholder:"TIME" help:"How long the record of who did what is kept (default ${default}, 180 days)."`
}

// Passwords are the cost of a hash, and how many run at the same time.
type Passwords struct {
	PasswordMemory      uint32        `default:"19456" min:"8" max:"4194304" placeholder:"KIB" help:"Memory for one hash in KiB (default ${default})."`
	PasswordIterations  uint32        `default:"2" min:"1" max:"1000" placeholder:"N" help:"Passes over that memory (default ${default})."`
	PasswordParallelism uint8         `default:"1" min:"1" max:"255" placeholder:"N" help:"Threads for one hash (default ${default})."`
	PasswordConcurrency int           `default:"0" min:"0" max:"1024" placeholder:"N" help:"Hashes that run at once; 0 is one for each core."`
	PasswordWait        time.Duration `default:"2s" min:"0s" max:"1m" placeholder:"TIME" help:"How long a login waits for its turn before it is told to come back (default ${default})."`
}

// Sessions are how long a login lasts, and what its tokens are.
type Sessions struct {
	AccessTokenLifetime  time.Duration  `default:"15m" min:"1s" max:"24h" placeholder:"TIME" help:"How long an access token is valid (default ${default})."`
	AccessTokenAlgorithm TokenAlgorithm `enum:"eddsa,es256" default:"eddsa" placeholder:"NAME" help:"How new signing keys sign access tokens: eddsa, or es256 for services whose libraries do not know it (default ${default})."`
	SessionIdle          time.Duration  `default:"720h" min:"1m" max:"87600h" placeholder:"TIME" help:"How long a login lasts that is not used (default ${default}, 30 days)."`
	SessionLifetime      time.Duration  `default:"4320h" min:"1m" max:"87600h" placeholder:"TIME" help:"The longest that a login lasts, however much it is used (default ${default}, 180 days)."`
	SigningKeyLifetime   time.Duration  `default:"2160h" min:"24h" max:"87600h" placeholder:"TIME" help:"How long a key signs access tokens before a new one does; nobody is logged out by that (default ${default}, 90 days)."`
	TicketLifetime       time.Duration  `default:"60s" min:"1s" max:"1h" placeholder:"TIME" help:"How long the address of the home page can be opened (default ${default})."`
}

// Logs are what is logged, and in which format.
type Logs struct {
	LogLevel  logging.Levels `default:"info" placeholder:"LEVELS" help:"debug, info, warn, error or none, for all modules and for single ones: info,image=debug (default ${default})."`
	LogFormat LogFormat      `enum:"console,json" default:"console" placeholder:"FORMAT" help:"The form of log lines: console for people, json for programs (default ${default})."`
}
