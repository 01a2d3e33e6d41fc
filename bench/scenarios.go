package main

import (
	"context"
	"fmt"
	"slices"
)

// scenario is one thing that is measured.
type scenario struct {
	name    string // for -only
	title   string
	unit    string
	measure measurement

	// Of a scenario with a yardstick, the ratio to it counts, and is to be target or more; where
	// the figure is a cost, target or less. Of any other, the figure itself counts, which is a cost.
	yardstick     func(ctx context.Context, b *bench, database string) (float64, error)
	yardstickName string
	target        float64 // 0: there is none
	isCost        bool
	once          bool // on SQLite and in the first round only
}

var scenarios = []scenario{
	{
		name: "register", title: "register", unit: "/s", measure: rateOf(register), target: 0.90,
		yardstick: bareHashes, yardstickName: "argon2id alone, on all cores",
	},
	{
		name: "login", title: "log in", unit: "/s", measure: rateOf(login), target: 0.90,
		yardstick: bareHashes, yardstickName: "argon2id alone, on all cores",
	},
	{
		name: "code-login", title: "log in by code", unit: "/s", measure: rateOf(loginByCode),
		yardstick: bareTransactions, yardstickName: "net/http and a transaction",
	},
	{
		name: "refresh", title: "refresh a token", unit: "/s", measure: rateOf(refresh),
		yardstick: bareTransactions, yardstickName: "net/http and a transaction",
	},
	{
		name: "upload", title: "upload a JPEG of 48 KB", unit: "/s", measure: rateOf(upload), target: 0.45,
		yardstick: nginxPut, yardstickName: "nginx, PUT",
	},
	{
		name: "upload-again", title: "upload the same JPEG again and again", unit: "/s", measure: rateOf(uploadAgain),
		yardstick: nginxPut, yardstickName: "nginx, PUT",
	},
	{
		name: "upload-heic", title: "upload a HEIC of 12 megapixels", unit: "/s", measure: uploadHEIC,
		yardstick: heifConvert, yardstickName: "heif-convert, on all cores",
	},
	{
		name: "load", title: "load a JPEG of 48 KB", unit: "/s", measure: rateOf(loadPicture), target: 0.60,
		yardstick: nginxGet, yardstickName: "nginx, sendfile",
	},
	{
		name: "thumbnail-cold", title: "make a thumbnail of a JPEG of 12 megapixels, CPU time", unit: " ms",
		measure: coldThumbnail, target: 1.3, isCost: true, yardstick: vipsThumbnail, yardstickName: "vipsthumbnail",
	},
	{
		name: "thumbnail", title: "load that thumbnail", unit: "/s", measure: rateOf(cachedThumbnail), target: 0.90,
		yardstick: nginxThumbnail, yardstickName: "nginx, sendfile",
	},
	{
		name: "me", title: "`GET /users/me`", unit: "/s", measure: rateOf(me), target: 0.60,
		yardstick: bareHTTP, yardstickName: "net/http alone",
	},
	{
		name: "me-flood", title: "`GET /users/me` while logins flood, p99", unit: " ms",
		measure: p99WhileLoginsFlood(me), target: 10,
	},
	{
		name: "load-flood", title: "load while logins flood, p99", unit: " ms",
		measure: p99WhileLoginsFlood(loadPicture), target: 10,
	},
	{
		name: "idle", title: "memory of an idle connection, of 10,000", unit: " KB", measure: idleMemory, target: 1.15, isCost: true,
		yardstick: bareIdleMemory, yardstickName: "net/http alone",
	},
	{
		name: "c10k", title: "`GET /users/me` on 1,000 connections beside 10,000 idle ones, p99", unit: " ms",
		measure: p99WithIdle, target: 1.5, isCost: true, yardstick: p99WithoutIdle, yardstickName: "without the idle ones",
	},
	{
		name: "memory", title: "50 uploads of 50 MB at once, peak of resident memory", unit: " MB",
		measure: peakMemory, target: 150, once: true,
	},
	{
		name: "thumbnail-memory", title: "64 such thumbnails made at once, peak of resident memory", unit: " MB",
		measure: thumbnailMemory, target: 300, once: true,
	},
}

func scenarioNames() []string {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.name
	}
	return names
}

// measure takes turns: a round measures everything once.
func (b *bench) measure(ctx context.Context) ([]*row, error) {
	rows := b.rows()
	for round := range b.rounds {
		for _, r := range rows {
			if r.once && round > 0 {
				continue
			}
			if err := b.addSample(ctx, r); err != nil {
				return nil, err
			}
			fmt.Fprintf(b.progress, "%d/%d  %s\n", round+1, b.rounds, r.progress())
		}
	}
	return rows, nil
}

// addSample measures the server first: a yardstick may need what it made.
func (b *bench) addSample(ctx context.Context, r *row) (err error) {
	var s sample
	if s.figure, err = b.measureServer(ctx, r.database, r.measure); err != nil {
		return fmt.Errorf("measure %s on %s: %w", r.name, r.database, err)
	}
	if r.yardstick != nil {
		if s.yardstick, err = r.yardstick(ctx, b, r.database); err != nil {
			return fmt.Errorf("measure %s: %w", r.yardstickName, err)
		}
	}
	r.samples = append(r.samples, s)
	return nil
}

func (b *bench) rows() []*row {
	var rows []*row
	for _, s := range scenarios {
		for _, database := range b.databases {
			if slices.Contains(b.only, s.name) && (!s.once || database == sqlite) {
				rows = append(rows, &row{scenario: s, database: database})
			}
		}
	}
	return rows
}
