package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gatehouse/internal/account"
	"gatehouse/internal/backup"
	"gatehouse/internal/database"
	"gatehouse/internal/image"
	"gatehouse/internal/redis"
	"gatehouse/internal/session"
	"gatehouse/internal/verify"
)

// Sources are whose numbers are read at each scrape.
type Sources struct {
	Accounts *account.Service
	Backups  *backup.Service // nil where none are scheduled
	Codes    *verify.Service
	Database *database.Database
	Hasher   *account.Hasher
	Images   *image.Service
	Redis    *redis.Client // nil where it is not used
	Sessions *session.Service

	Connections func() int64 // that are open
	// CertificateExpires is when the first certificate does that is served; none may be there yet. It is nil without TLS.
	CertificateExpires func() (time.Time, bool)

	CodesADay int      // the most codes that are sent in a day; 0 is no limit
	Limits    []string // the classes of limits
	Tasks     []string // those in the background
}

// Read takes the numbers of the sources into the metrics. It is called once.
func (m *Metrics) Read(s Sources) {
	m.readHasher(s.Hasher)
	m.readCodes(s.Codes, s.CodesADay)
	m.readImages(s.Images)
	m.readCaches(s)
	m.readDatabase(s.Database)
	m.readRedis(s.Redis)
	m.readBackups(s.Backups)
	if s.CertificateExpires != nil {
		m.gauge("certificate_expiry_timestamp_seconds", "When the first of the certificates expires that are served; 0 if there is none yet.",
			func() float64 { expires, _ := s.CertificateExpires(); return seconds(expires) })
	}
	m.gauge("http_connections_open", "Connections of clients and proxies, idle ones too.", func() float64 { return float64(s.Connections()) })
	for _, class := range s.Limits { // so that what never happened reads zero
		m.limited.WithLabelValues(class)
	}
	for _, task := range s.Tasks {
		m.tasks.WithLabelValues(task)
	}
}

func (m *Metrics) gauge(name, help string, read func() float64) {
	m.factory.NewGaugeFunc(gauge(name, help), read)
}

func (m *Metrics) counter(name, help string, read func() float64) {
	m.factory.NewCounterFunc(counter(name, help), read)
}

func (m *Metrics) readHasher(h *account.Hasher) {
	m.gauge("password_hash_turns", "Password hashes that may run at once.", func() float64 { return float64(h.Stats().Turns) })
	m.gauge("password_hashes_running", "Password hashes that run.", func() float64 { return float64(h.Stats().Running) })
	m.gauge("password_hashes_waiting", "Password hashes that wait for their turn.", func() float64 { return float64(h.Stats().Waiting) })
	m.counter("password_hashes_total", "Password hashes that were computed.", func() float64 { return float64(h.Stats().Computed) })
	m.counter("password_hashes_refused_total", "Password hashes that waited too long and were answered 9002.",
		func() float64 { return float64(h.Stats().Refused) })
}

func (m *Metrics) readCodes(codes *verify.Service, codesADay int) {
	m.gauge("sms_budget_day", "The most verification codes that all servers send in a day of UTC; 0 is no limit.",
		func() float64 { return float64(codesADay) })
	for name := range codes.Counts() {
		read := func() float64 { return float64(codes.Counts()[name]) }
		switch name {
		case "sent":
			m.counter("sms_sent_total", "Verification codes that were sent.", read)
		case "verified":
			m.counter("sms_verified_total", "Verification codes that came back right.", read)
		default:
			refused := counter("sms_refused_total", "Verification codes that were not sent, by cause.")
			refused.ConstLabels = prometheus.Labels{"cause": name}
			m.factory.NewCounterFunc(refused, read)
		}
	}
}

func (m *Metrics) readImages(images *image.Service) {
	decodes := func() image.DecodeStats { return images.Stats().Decodes }
	m.counter("pictures_stored_total", "Pictures that were uploaded and stored.", func() float64 { return float64(images.Stats().Stored) })
	m.counter("pictures_stored_bytes_total", "Bytes of the pictures that were uploaded and stored.",
		func() float64 { return float64(images.Stats().StoredBytes) })
	m.gauge("picture_checks_waiting", "Stored pictures that wait in memory to be decoded for the first time.",
		func() float64 { return float64(images.Stats().ChecksWaiting) })
	m.gauge("picture_decode_turns", "Pictures that may be decoded at once.", func() float64 { return float64(decodes().Turns) })
	m.gauge("picture_decodes_running", "Pictures that are being decoded.", func() float64 { return float64(decodes().Running) })
	m.gauge("picture_decodes_waiting", "Pictures that wait for their turn to be decoded.", func() float64 { return float64(decodes().Waiting) })
	for outcome, read := range map[string]func() int64{
		"done":    func() int64 { return decodes().Done },
		"failed":  func() int64 { return decodes().Failed },
		"refused": func() int64 { return decodes().Refused },
	} {
		total := counter("picture_decodes_total", "Pictures that were decoded, that could not be, and that waited too long.")
		total.ConstLabels = prometheus.Labels{"outcome": outcome}
		m.factory.NewCounterFunc(total, func() float64 { return float64(read()) })
	}
}

// cache is what is told of each cache.
type cache struct {
	Hits, Misses uint64
	Entries      int
}

func (m *Metrics) readCaches(s Sources) {
	for name, read := range map[string]func() cache{
		"users":    func() cache { users, _ := s.Accounts.Remembered(); return cache(users) },
		"hidden":   func() cache { _, hidden := s.Accounts.Remembered(); return cache(hidden) },
		"tokens":   func() cache { return cache(s.Sessions.VerifiedTokens()) },
		"pictures": func() cache { return cache(s.Images.Stats().Rows) },
		"files":    func() cache { return cache(s.Images.Stats().Files) },
	} {
		hits := counter("cache_hits_total", "How often a cache had what was looked for.")
		misses := counter("cache_misses_total", "How often a cache did not have what was looked for.")
		entries := gauge("cache_entries", "What a cache holds.")
		hits.ConstLabels = prometheus.Labels{"cache": name}
		misses.ConstLabels, entries.ConstLabels = hits.ConstLabels, hits.ConstLabels
		m.factory.NewCounterFunc(hits, func() float64 { return float64(read().Hits) })
		m.factory.NewCounterFunc(misses, func() float64 { return float64(read().Misses) })
		m.factory.NewGaugeFunc(entries, func() float64 { return float64(read().Entries) })
	}
	m.gauge("cache_files_bytes", "Bytes of the small pictures that are held in memory.",
		func() float64 { return float64(s.Images.Stats().FileBytes) })
}

func (m *Metrics) readDatabase(d *database.Database) {
	m.gauge("database_connections_max", "The most connections to the database; of SQLite, those that read.",
		func() float64 { return float64(d.Stats().Pool.MaxOpenConnections) })
	for state, read := range map[string]func() int{
		"in_use": func() int { return d.Stats().Pool.InUse },
		"idle":   func() int { return d.Stats().Pool.Idle },
	} {
		connections := gauge("database_connections", "Open connections to the database; of SQLite, those that read.")
		connections.ConstLabels = prometheus.Labels{"state": state}
		m.factory.NewGaugeFunc(connections, func() float64 { return float64(read()) })
	}
	m.counter("database_connection_waits_total", "How often somebody waited for a connection.",
		func() float64 { return float64(d.Stats().Pool.WaitCount) })
	m.counter("database_connection_wait_seconds_total", "How long all have waited for connections.",
		func() float64 { return d.Stats().Pool.WaitDuration.Seconds() })
	m.gauge("database_writes_waiting", "Transactions that wait for SQLite's one writer.",
		func() float64 { return float64(d.Stats().WritesWaiting) })
	m.counter("database_retries_total", "How often a transaction was tried again: deadlocks, timeouts, lost connections.",
		func() float64 { return float64(d.Stats().Retries) })
	m.counter("database_commits_unknown_total", "Transactions of which it is unknown whether they were stored.",
		func() float64 { return float64(d.Stats().CommitsUnknown) })
}

func (m *Metrics) readRedis(r *redis.Client) {
	if r == nil {
		return
	}
	m.gauge("redis_up", "1 while Redis is there, 0 while this server goes on alone.", func() float64 {
		if r.Available() {
			return 1
		}
		return 0
	})
	m.counter("redis_calls_total", "Calls of Redis.", func() float64 { calls, _ := r.Calls(); return float64(calls) })
	m.counter("redis_failures_total", "Calls of Redis that failed or took longer than 50 ms.",
		func() float64 { _, failed := r.Calls(); return float64(failed) })
}

func (m *Metrics) readBackups(b *backup.Service) {
	if b == nil {
		return
	}
	m.gauge("backup_last_success_timestamp_seconds", "When the last backup was made that is complete, by whichever server; 0 if there is none.",
		func() float64 { return seconds(b.Stats().LastSuccess) })
	m.gauge("backup_interval_seconds", "How often a backup is to be made.", b.Every.Seconds)
	for outcome, read := range map[string]func() int64{
		"done":   func() int64 { return b.Stats().Succeeded },
		"failed": func() int64 { return b.Stats().Failed },
	} {
		total := counter("backups_total", "Backups that this server made, and that it could not make.")
		total.ConstLabels = prometheus.Labels{"outcome": outcome}
		m.factory.NewCounterFunc(total, func() float64 { return float64(read()) })
	}
}

// seconds are those since 1970, or 0 of the zero time.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
