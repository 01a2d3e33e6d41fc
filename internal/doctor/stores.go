package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"gatehouse/internal/backup"
	"gatehouse/internal/database"
	"gatehouse/internal/redis"
	"gatehouse/internal/storage"
)

const (
	// maxSkew is how much the clocks of servers may differ: leases and codes depend on them.
	maxSkew = 30 * time.Second
	// largeWAL is more than checkpoints leave of a WAL.
	largeWAL = 256 << 20
	// statementsOfOne is how many statements one connection prepares, at most.
	statementsOfOne = 150
)

// skew compares a clock with ours.
func skew(whose string, theirs time.Time) Finding {
	differs := time.Since(theirs).Abs()
	if differs > maxSkew {
		return problem("let both machines follow the same time servers (chrony, systemd-timesyncd)",
			"the clock of %s differs by %s from the one here", whose, differs.Round(time.Second))
	}
	return ok("the clock of %s is that of this machine", whose)
}

// Database looks at the database. open returns it without migrating it.
func Database(open func(ctx context.Context) (*database.Database, error)) func(context.Context) []Finding {
	return func(ctx context.Context) (found []Finding) {
		d, err := open(ctx)
		if err != nil {
			return []Finding{problem("see that it runs, and what --database says", "%v", err)}
		}
		defer d.Close()
		i, err := d.Inspect(ctx)
		if err != nil {
			return []Finding{problem("see the error, and the log of the database", "%v", err)}
		}
		if i.IsSupported() {
			found = append(found, ok("%s answers", i.Version))
		} else {
			found = append(found, problem("upgrade to MySQL 8, MariaDB 10.6 or newer", "version %s is not supported", i.Version))
		}
		found = append(found, schemaFindings(i)...)
		if d.Kind() == database.SQLite {
			return append(found, sqliteFindings(i)...)
		}
		return append(found, mysqlFindings(i)...)
	}
}

func schemaFindings(i database.Inspection) (found []Finding) {
	if len(i.Newer) > 0 {
		found = append(found, warn("run the newest program everywhere; migrations only extend, so this one still works",
			"the database has migrations that this program does not know: %v", i.Newer))
	}
	if len(i.Pending) > 0 {
		return append(found, warn("run gatehouse migrate, or start the server", "migrations are pending: %s", strings.Join(i.Pending, ", ")))
	}
	if len(i.Missing) > 0 {
		return append(found, problem("create them again as sql/ of the source has them, or restore a backup",
			"what the migrations made is missing: %s", strings.Join(i.Missing, "; ")))
	}
	return append(found, ok("every migration is applied, and every column and index is there"))
}

func sqliteFindings(i database.Inspection) []Finding {
	if i.Damage != "" {
		return []Finding{problem("stop the servers, keep a copy of the data folder, and restore a backup", "the database is damaged: %s", i.Damage)}
	}
	if i.WALBytes > largeWAL {
		return []Finding{warn("look for a program that keeps a transaction open; restarting the servers shrinks it",
			"the WAL has %s", humanize.Bytes(uint64(i.WALBytes)))}
	}
	if i.Unread {
		return []Finding{ok("it is too large to be read for damage here, which gatehouse backup does; its WAL has %s", humanize.Bytes(uint64(i.WALBytes)))}
	}
	return []Finding{ok("it is whole, and its WAL has %s", humanize.Bytes(uint64(i.WALBytes)))}
}

func mysqlFindings(i database.Inspection) []Finding {
	found := []Finding{skew("the database", i.Now)}
	if i.Charset != "utf8mb4" {
		found = append(found, warn("ALTER DATABASE … CHARACTER SET utf8mb4", "new tables would have the character set %s", i.Charset))
	}
	if len(i.Collations) > 0 {
		found = append(found, problem("ALTER TABLE … MODIFY the columns to utf8mb4_bin or ascii_bin, as sql/mysql of the source has them",
			"columns compare in another way: %s", strings.Join(i.Collations, ", ")))
	}
	if i.Isolation != "READ-COMMITTED" {
		found = append(found, problem("let no proxy change it: it must be READ COMMITTED", "the isolation level of connections is %s", i.Isolation))
	}
	if i.MostOpen > i.MaxConnections {
		found = append(found, problem("raise max_connections, or lower --database-connections",
			"one server opens up to %d connections, and the database lets in %d", i.MostOpen, i.MaxConnections))
	}
	if statements := i.MostOpen * statementsOfOne; statements > i.MaxPrepared {
		found = append(found, warn("raise max_prepared_stmt_count, or lower --database-connections",
			"one server prepares up to %d statements, and the database allows %d", statements, i.MaxPrepared))
	}
	return append(found, ok("it lets in %d connections, and one server opens up to %d", i.MaxConnections, i.MostOpen))
}

// Redis looks at a Redis.
func Redis(url string) func(context.Context) []Finding {
	return func(ctx context.Context) []Finding {
		i, err := redis.Inspect(ctx, url)
		if err != nil {
			return []Finding{problem("see that it runs, and what --redis says; until then each server counts alone", "%v", err)}
		}
		found := []Finding{ok("Redis %s answers", i.Version)}
		if !i.Now.IsZero() {
			found = append(found, skew("Redis", i.Now))
		}
		if len(i.Refused) > 0 {
			found = append(found, problem("let the user of --redis do these (ACL SETUSER)", "commands are refused: %s", strings.Join(i.Refused, "; ")))
		}
		if strings.HasPrefix(i.Eviction, "allkeys") || i.Eviction == "noeviction" {
			return append(found, warn("set maxmemory-policy volatile-ttl", "when its memory is full, it does what %s says", i.Eviction))
		}
		return found
	}
}

// Storage stores a file, reads it and removes it.
func Storage(open func() (*storage.Store, error)) func(context.Context) []Finding {
	return func(ctx context.Context) []Finding {
		store, err := open()
		if err != nil {
			return []Finding{problem("see what --storage says", "%v", err)}
		}
		defer store.Close()
		if err := probe(ctx, store); err != nil {
			return []Finding{problem(storageAdvice(err), "%v", err)}
		}
		return []Finding{ok("a file was stored, read and removed")}
	}
}

func probe(ctx context.Context, store *storage.Store) (err error) {
	if err := store.Check(ctx); err != nil {
		return err
	}
	name, content := strings.ToLower(rand.Text()), "gatehouse doctor\n"
	batch := store.NewBatch()
	defer func() { err = errors.Join(err, batch.Discard(context.WithoutCancel(ctx))) }()
	f, err := batch.Create(name)
	if err != nil {
		return fmt.Errorf("write a file: %w", err)
	}
	_, err = f.WriteString(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write a file: %w", err)
	}
	if err := batch.Place(ctx); err != nil {
		return fmt.Errorf("store a file: %w", err)
	}
	file, err := store.Open(ctx, name)
	if err != nil {
		return fmt.Errorf("read a file: %w", err)
	}
	defer file.Content.Close()
	got, err := io.ReadAll(file.Content)
	if err == nil && string(got) != content {
		err = errors.New("it is not what was stored")
	}
	return err
}

func storageAdvice(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "RequestTimeTooSkewed") || strings.Contains(text, "time and the server's time is too large"):
		return "the clock here is not that of S3: let this machine follow a time server"
	case storage.IsFull(err):
		return "make room in the storage"
	case strings.Contains(text, "denied") || strings.Contains(text, "Access Key") || strings.Contains(text, "signature"):
		return "see --storage-key-id and --storage-key-secret, and the rights that the key needs (docs/operations.md)"
	}
	return "see that the storage is there and may be written by this user"
}

// Backups looks at the age of the newest backup.
func Backups(open func() (storage.Folder, error), every time.Duration) func(context.Context) []Finding {
	return func(ctx context.Context) []Finding {
		folder, err := open()
		if err != nil {
			return []Finding{problem("see what --backup-to says", "%v", err)}
		}
		backups, err := backup.List(ctx, folder)
		if err != nil {
			return []Finding{problem("see what --backup-to and --backup-key-id say", "%v", err)}
		}
		if len(backups) == 0 {
			return []Finding{problem("run gatehouse backup, and look into server.log for why none was made", "there is no backup that is complete")}
		}
		newest := backups[len(backups)-1]
		age := time.Since(newest.CreatedAt)
		if every > 0 && age > every+every/2 {
			return []Finding{problem("look into server.log for why", "the newest backup, %s, is %s old, and one is due every %s",
				newest.Name, age.Round(time.Minute), every)}
		}
		if newest.Pictures.Lost > 0 {
			return []Finding{warn("run gatehouse storage check --read", "the newest backup, %s, lacks %d pictures that were missing or damaged",
				newest.Name, newest.Pictures.Lost)}
		}
		return []Finding{ok("%d backups; the newest, %s, is %s old", len(backups), newest.Name, age.Round(time.Second))}
	}
}
