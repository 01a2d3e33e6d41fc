package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"gatehouse/internal/config"
)

const healthTimeout = 3 * time.Second

// checkHealth asks the server that runs with the same options on this machine whether it is ready: containers
// have no other program that could.
func checkHealth(ctx context.Context, options config.Options, stdout io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	target := url.URL{Scheme: "http", Host: localAddress(string(options.Addr)), Path: "/readyz"}
	client := &http.Client{}
	if options.SpeaksHTTPS() {
		target.Scheme = "https"
		client.Transport = &http.Transport{TLSClientConfig: toThisMachine(options.PublicURL)}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the server is not ready: %s answers %s", target.String(), response.Status)
	}
	_, err = io.Copy(stdout, response.Body)
	return err
}

// toThisMachine trusts every certificate: whether those of elsewhere do is a question for gatehouse doctor.
func toThisMachine(public config.PublicURL) *tls.Config {
	c := &tls.Config{InsecureSkipVerify: true}
	if named, err := url.Parse(string(public)); err == nil {
		c.ServerName = named.Hostname() // of several certificates, that one
	}
	return c
}

// localAddress is where this machine reaches a server that listens on an address.
func localAddress(address string) string {
	host, port, err := net.SplitHostPort(address)
	if ip, parseErr := netip.ParseAddr(host); err != nil || host != "" && (parseErr != nil || !ip.IsUnspecified()) {
		return address
	}
	return net.JoinHostPort("localhost", port)
}
