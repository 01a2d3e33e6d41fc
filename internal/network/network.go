// Package network owns who is taken for one client when something is counted by address.
package network

import "net/netip"

// Of names who is counted at an address: the address of IPv4, and the /64 network of IPv6, since each subscriber
// has at least one, with 2^64 addresses. Clients without an address share one name.
func Of(address netip.Addr) string {
	address = address.Unmap().WithZone("")
	if !address.Is6() {
		return address.String()
	}
	return netip.PrefixFrom(address, 64).Masked().String()
}
