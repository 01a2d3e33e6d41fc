package main

import (
	"maps"
	"slices"

	"gatehouse/internal/admin"
	"gatehouse/internal/config"
	"gatehouse/internal/metrics"
)

// adminFront is the name of the front that serves metrics and profiles.
const adminFront = "admin"

// buildAdmin puts a server of its own in front of the metrics, if they are wanted.
func (a *app) buildAdmin() {
	sources := metrics.Sources{
		Accounts: a.accounts, Backups: a.backups, Codes: a.codes, Database: a.database, Hasher: a.hasher, Images: a.images, Redis: a.redis,
		Sessions: a.sessions, Connections: a.fronts[0].open.Load, CodesADay: a.options.SMSBudgetDay, Limits: slices.Collect(maps.Keys(a.options.Limits)),
		Tasks: []string{taskSweep, taskExpire, taskErase},
	}
	if a.certificates != nil {
		sources.CertificateExpires = a.certificates.ExpiresAt
	}
	a.metrics.Read(sources)
	if a.options.AdminAddr == config.NoAdmin {
		return
	}
	handler := admin.New(a.metrics.Handler(a.log), a.options.AdminAddr.Loopback())
	front := newFront(adminFront, string(a.options.AdminAddr), handler, a.log)
	front.optional = !a.options.AdminAddrGiven
	a.fronts = append(a.fronts, front)
}

// adminAddress is where the metrics are served, after port 0 took a free one.
func (a *app) adminAddress() config.AdminAddress {
	front := a.front(adminFront)
	if front == nil {
		return config.NoAdmin
	}
	return config.AdminAddress(front.listener.Addr().String())
}
