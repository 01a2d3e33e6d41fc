package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"gatehouse/internal/config"
	"gatehouse/internal/database"
	"gatehouse/internal/doctor"
	"gatehouse/internal/storage"
)

// errProblems is the error of an examination that found some.
var errProblems = errors.New("there are problems: do what the lines above say, and run it again")

// examine looks at everything that a server with these options depends on.
func examine(ctx context.Context, options config.Options, stdout io.Writer) error {
	worst := doctor.Examine(ctx, examinations(options), func(r doctor.Report) { fmt.Fprint(stdout, r) })
	if worst == doctor.Problem {
		return errProblems
	}
	return nil
}

func examinations(o config.Options) []doctor.Check {
	open := func(ctx context.Context) (*database.Database, error) { return openToLook(ctx, o) }
	checks := []doctor.Check{
		{Name: "configuration", Look: doctor.Configuration(riskyOptions(o))},
		{Name: "user", Look: doctor.User(o.DataDir)},
		{Name: "clock", Look: doctor.Clock},
		{Name: "disk", Look: doctor.Disk(folders(o), filepath.Join(o.DataDir, "log"))},
		{Name: "limits", Look: doctor.Limits},
		{Name: "database", Look: doctor.Database(open)},
		{Name: "storage", Look: doctor.Storage(func() (*storage.Store, error) { return openStorageToLook(o) })},
	}
	if o.Redis != "" {
		checks = append(checks, doctor.Check{Name: "redis", Look: doctor.Redis(string(o.Redis))})
	}
	if endpoint := smsEndpoint(o.Codes); endpoint != "" {
		checks = append(checks, doctor.Check{Name: "sms", Look: doctor.SMS(string(o.SMS), endpoint)},
			doctor.Check{Name: "codes", Look: doctor.Budgets(open, (&app{options: o}).budgets())})
	}
	if o.TLSCert != "" {
		checks = append(checks, doctor.Check{Name: "certificate", Look: doctor.CertificateFile(o.TLSCert)})
	}
	for _, domain := range o.ACMEDomain {
		if address := "https://" + string(domain); address != string(o.PublicURL) {
			checks = append(checks, doctor.Check{Name: "certificate", Look: doctor.PublicURL(address, nil)})
		}
	}
	if o.PublicURL != "" {
		checks = append(checks, doctor.Check{Name: "public url", Look: doctor.PublicURL(string(o.PublicURL), nil)})
	}
	return append(checks, doctor.Check{Name: "backups", Look: examineBackups(o)})
}

func examineBackups(o config.Options) func(context.Context) []doctor.Finding {
	if o.BackupTo == "" {
		return doctor.NoBackups
	}
	return doctor.Backups(func() (storage.Folder, error) { return openBackups(o, o.BackupTo) }, o.BackupEvery)
}

// openToLook opens the database as it is.
func openToLook(ctx context.Context, o config.Options) (*database.Database, error) {
	if err := findDatabase(o); err != nil {
		return nil, err
	}
	return database.Open(ctx, database.Options{
		URL: string(o.Database), DataDir: o.DataDir, Connections: o.DatabaseConnections, Logger: slog.New(slog.DiscardHandler),
	})
}

// openStorageToLook makes no data folder.
func openStorageToLook(o config.Options) (*storage.Store, error) {
	if _, err := os.Stat(o.DataDir); err != nil {
		return nil, err
	}
	return openStorage(o, nil)
}

// folders are where the server writes on this machine.
func folders(o config.Options) []string {
	folders := []string{o.DataDir}
	if location, err := storage.ParseLocation(string(o.Storage)); err == nil && location.Dir != "" {
		folders = append(folders, location.Dir)
	}
	return folders
}

// riskyOptions are those that are valid, and that somebody may not have meant so.
func riskyOptions(o config.Options) []doctor.Finding {
	var risky []doctor.Finding
	add := func(is bool, found, do string) {
		if is {
			risky = append(risky, doctor.Finding{Status: doctor.Warning, Found: found, Do: do})
		}
	}
	production := o.Mode == config.Production
	add(!production, "this is development mode: it serves this machine only, and takes one code from everyone", "use --mode production for others")
	add(production && o.SMS == config.SMSLog, "verification codes go into the log: whoever reads it can log in as anybody", "name a sender with --sms")
	add(production && o.SMS == config.SMSNone, "any six digits register any phone that is not registered yet", "name a sender with --sms")
	add(production && len(o.Limits) == 0, "nobody's requests are limited", "use --limits default")
	add(othersMayRead(o.SecretFile), "other users of this machine may read "+o.SecretFile, "chmod 600 "+o.SecretFile)
	add(production && o.AdminAddr.IsOpen(), "everybody who reaches "+string(o.AdminAddr)+" can see metrics and profiles", "use --admin-addr 127.0.0.1:9000")
	add(production && o.BackupEvery == 0, "no backups are scheduled", "use --backup-to and --backup-every, or run gatehouse backup by cron")
	return risky
}

// smsEndpoint is where codes are sent; empty where they are not.
func smsEndpoint(o config.Codes) string {
	endpoints := map[config.SMS]string{
		config.SMSTencent: "https://sms.tencentcloudapi.com", config.SMSAliyun: "https://dysmsapi.aliyuncs.com",
		config.SMSTwilio: "https://api.twilio.com", config.SMSWebhook: "",
	}
	fixed, sends := endpoints[o.SMS]
	if !sends {
		return ""
	}
	return cmp.Or(string(o.SMSEndpoint), fixed)
}
