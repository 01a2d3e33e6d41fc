package config

import (
	"net/netip"
	"time"

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

// SMSDev accepts one code from everyone; SMSNone sends nothing and checks only the form of a code.
const (
	SMSDev  SMS = "dev"
	SMSNone SMS = "none"
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
	Server    `embed:"" group:"How it runs"`
	Data      `embed:"" group:"Where data is stored"`
	Callers   `embed:"" group:"Who may call, and how"`
	Pictures  `embed:"" group:"Pictures"`
	Passwords `embed:"" group:"Passwords (argon2id)"`
	Sessions  `embed:"" group:"Sessions"`
	Logs      `embed:"" group:"Logs"`
}

// Server is how the server runs.
type Server struct {
	Config        string        `placeholder:"FILE" help:"A YAML file of options: their names below, without the dashes, as keys."`
	Mode          Mode          `enum:"dev,production" default:"dev" placeholder:"MODE" help:"What the server is run for: dev serves this machine only and needs nothing else, production serves everyone and names what it still needs (default ${default})."`
	LAN           bool          `name:"lan" help:"Open dev mode to the local network, to try it on a phone."`
	Addr          Address       `placeholder:"[HOST]:PORT" help:"Where to listen; port 0 takes a free one (default 127.0.0.1:8000, or :8000 with --lan or in production). Without a host, dev mode listens on 127.0.0.1."`
	PublicURL     PublicURL     `name:"public-url" placeholder:"URL" help:"The address at which apps reach this server, such as https://app.example.com. Production needs it, with https unless the host is this machine."`
	SMS           SMS           `name:"sms" enum:"dev,none" default:"" placeholder:"SENDER" help:"How verification codes are sent: dev takes 123456 from everyone (the default in dev mode, refused in production), none sends nothing and only checks the form of a code."`
	ShutdownDelay time.Duration `default:"0s" min:"0s" max:"5m" placeholder:"TIME" help:"How long a server that is told to stop goes on serving while /readyz says that it is not ready, so that load balancers turn away first (default ${default})."`
	Compat        Compat        `enum:"none,booklet" default:"none" placeholder:"SERVER" help:"Imitate another server: booklet answers apps written against the booklet's server unchanged (default ${default})."`
}

// Data is where the server stores its data.
type Data struct {
	DataDir             string   `default:"./data" placeholder:"DIR" help:"The folder of the database, pictures, logs and the secret (default ${default})."`
	Database            Database `placeholder:"URL" help:"mysql://user:password@host[:port]/name for MySQL or MariaDB. Without it, SQLite in the data folder."`
	DatabaseConnections int      `default:"0" min:"0" max:"10000" placeholder:"N" help:"The most connections to the database; 0 chooses for the database."`
	SecretFile          string   `placeholder:"FILE" help:"The file of the one secret that keys and links come from. Dev mode makes one in the data folder; production needs one."`
	WebDir              string   `placeholder:"DIR" help:"A folder whose files replace built-in pages and assets of the same name. Dev mode takes ./web where it exists."`
}

// Callers are the proxies and origins that may call the server.
type Callers struct {
	TrustedProxy []netip.Prefix `placeholder:"CIDR" help:"Networks of the proxies whose X-Forwarded-* and X-Real-IP headers are believed, such as 10.0.0.0/8. May be repeated."`
	CORSOrigin   []Origin       `name:"cors-origin" placeholder:"ORIGIN" help:"Origins whose scripts may call the API, such as https://app.example.com. May be repeated."`
}

// Pictures are the limits of an upload.
type Pictures struct {
	UploadLimit Size `default:"50MiB" min:"1KB" max:"10GB" placeholder:"SIZE" help:"The most bytes in one upload, such as 50MB or 50MiB (default ${default})."`
	UploadFiles int  `default:"9" min:"1" max:"1000" placeholder:"N" help:"The most pictures in one upload (default ${default})."`
}

// Passwords are the cost of a hash, and how many run at the same time.
type Passwords struct {
	PasswordMemory      uint32        `default:"19456" min:"8" max:"4194304" placeholder:"KIB" help:"Memory for one hash in KiB (default ${default})."`
	PasswordIterations  uint32        `default:"2" min:"1" max:"1000" placeholder:"N" help:"Passes over that memory (default ${default})."`
	PasswordParallelism uint8         `default:"1" min:"1" max:"255" placeholder:"N" help:"Threads for one hash (default ${default})."`
	PasswordConcurrency int           `default:"0" min:"0" max:"1024" placeholder:"N" help:"Hashes that run at once; 0 is one for each core."`
	PasswordWait        time.Duration `default:"2s" min:"0s" max:"1m" placeholder:"TIME" help:"How long a login waits for its turn before it is told to come back (default ${default})."`
}

// Sessions are how long a login lasts.
type Sessions struct {
	AccessTokenLifetime time.Duration `default:"15m" min:"1s" max:"24h" placeholder:"TIME" help:"How long an access token is valid (default ${default})."`
	SessionLifetime     time.Duration `default:"720h" min:"1m" max:"87600h" placeholder:"TIME" help:"How long a login lasts (default ${default}, 30 days)."`
	TicketLifetime      time.Duration `default:"60s" min:"1s" max:"1h" placeholder:"TIME" help:"How long the address of the home page can be opened (default ${default})."`
}

// Logs are what is logged, and in which format.
type Logs struct {
	LogLevel  logging.Levels `default:"info" placeholder:"LEVELS" help:"debug, info, warn, error or none, for all modules and for single ones: info,image=debug (default ${default})."`
	LogFormat LogFormat      `enum:"console,json" default:"console" placeholder:"FORMAT" help:"The form of log lines: console for people, json for programs (default ${default})."`
}
