// Package admin serves those who operate the server: its metrics and its profiles, on an address of its own.
package admin

import (
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
)

const index = `<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>Gatehouse</title>
<h1>Gatehouse</h1>
<ul>
<li><a href="/metrics">metrics</a>, for Prometheus
<li><a href="/debug/pprof/">profiles</a>, for go tool pprof
<li><a href="/healthz">health</a>
</ul>
`

// New returns the handler of everything that operators are served. On a loopback address it answers only who knows it
// by a name of this machine, and no page of another site: not even one that has rebound its own name to it.
func New(metrics http.Handler, loopback bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, index) })
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	// The command line may have secrets.
	mux.HandleFunc("/debug/pprof/cmdline", http.NotFound)
	return refuseForeign(mux, loopback)
}

func refuseForeign(next http.Handler, loopback bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if loopback && !isLoopback(r.Host) {
			http.Error(w, "this address is for this machine only: ask for it as localhost or 127.0.0.1", http.StatusForbidden)
			return
		}
		switch r.Header.Get("Sec-Fetch-Site") {
		case "cross-site", "same-site": // a page must not make the server profile itself
			http.Error(w, "not for other sites", http.StatusForbidden)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func isLoopback(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = strings.Trim(hostPort, "[]")
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback() || strings.EqualFold(host, "localhost")
}
