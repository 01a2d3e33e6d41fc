package main

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/mdp/qrterminal/v3"

	"gatehouse/internal/config"
)

const loopback = "127.0.0.1"

// announce tells the person who started the server where everything is.
func announce(w io.Writer, options config.Options, address *net.TCPAddr, missingCertificates []string) error {
	dataDir, err := filepath.Abs(options.DataDir)
	if err != nil {
		return fmt.Errorf("find the data folder: %w", err)
	}
	host := reachableHost(address, options.LAN)
	scheme := "http://"
	if options.SpeaksHTTPS() {
		scheme = "https://"
	}
	base := cmp.Or(string(options.PublicURL), scheme+net.JoinHostPort(host, strconv.Itoa(address.Port)))
	var text strings.Builder
	fmt.Fprintf(&text, "Gatehouse %s, %s mode, on %s\n", version, options.Mode, address)
	fmt.Fprintf(&text, "  home page  %s/h5/home\n", base)
	fmt.Fprintf(&text, "  API docs   %s/docs/\n", base)
	fmt.Fprintf(&text, "  data       %s (%s)\n", dataDir, databaseName(options))
	fmt.Fprintf(&text, "  limits     %s\n", options.Limits)
	announceHTTPS(&text, options.HTTPS, missingCertificates)
	if options.AdminAddr == config.NoAdmin {
		text.WriteString("  metrics    none\n")
	} else {
		fmt.Fprintf(&text, "  metrics    http://%s/\n", options.AdminAddr)
	}
	switch options.SMS {
	case config.SMSDev:
		fmt.Fprintf(&text, "  NOTE: development mode takes the verification code %s from everyone\n", devCode)
	case config.SMSNone:
		text.WriteString("  NOTE: verification codes are not sent (--sms none): anyone can register any phone number\n")
	}
	if options.Mode == config.Production && len(options.Limits) == 0 {
		text.WriteString("  NOTE: nothing limits how much a client may ask for (--limits off)\n")
	}
	if options.AdminAddr.IsOpen() {
		text.WriteString("  NOTE: whoever reaches the metrics' address can read them and profile the server: let a firewall see to it\n")
	}
	switch {
	case options.LAN && options.PublicURL == "" && host == loopback:
		text.WriteString("  NOTE: this machine has no private IPv4 address that a phone could reach\n")
	case options.LAN:
		text.WriteString("  open to the local network; scan this with a phone:\n")
		qrterminal.GenerateHalfBlock(base+"/h5/home", qrterminal.L, &text)
	}
	_, err = io.WriteString(w, text.String())
	return err
}

func announceHTTPS(text *strings.Builder, options config.HTTPS, missing []string) {
	switch {
	case len(options.ACMEDomain) > 0:
		fmt.Fprintf(text, "  HTTPS      certificates from %s\n", options.ACMEDirectory)
	case options.SpeaksHTTPS():
		fmt.Fprintf(text, "  HTTPS      the certificate in %s\n", options.TLSCert)
	}
	if options.Redirects() {
		fmt.Fprintf(text, "  redirect   plain HTTP on %s\n", options.RedirectAddr)
	}
	if len(missing) > 0 {
		fmt.Fprintf(text, "  NOTE: nobody can connect before the CA has made the certificate of %s; the log says when, and what is in the way\n",
			strings.Join(missing, ", "))
	}
}

func databaseName(options config.Options) string {
	if options.Database == "" {
		return "SQLite"
	}
	return options.Database.String()
}

// reachableHost is an address that a browser can open.
func reachableHost(address *net.TCPAddr, lan bool) string {
	switch {
	case !address.IP.IsUnspecified():
		return address.IP.String()
	case lan:
		return lanHost()
	default:
		return loopback
	}
}

// lanHost is this machine's address in the local network, or the loopback address if it is in none.
func lanHost() string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return loopback
	}
	for _, address := range addresses {
		if network, ok := address.(*net.IPNet); ok && network.IP.IsPrivate() && network.IP.To4() != nil {
			return network.IP.String()
		}
	}
	return loopback
}
