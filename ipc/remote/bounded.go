package remote

import (
	"net"
	"net/netip"
	"sync"
)

// bounded is a listener that closes the connections which are too many.
type bounded struct {
	net.Listener
	all, each int

	mu    sync.Mutex
	total int
	of    map[string]int
}

func newBounded(l net.Listener, all, each int) *bounded {
	return &bounded{Listener: l, all: all, each: each, of: map[string]int{}}
}

// Accept implements [net.Listener].
func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := network(c.RemoteAddr().String())
		if b.take(from) {
			return &counted{Conn: c, give: sync.OnceFunc(func() { b.give(from) })}, nil
		}
		_ = c.Close()
	}
}

func (b *bounded) take(from string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.total >= b.all || b.of[from] >= b.each {
		return false
	}
	b.total++
	b.of[from]++
	return true
}

func (b *bounded) give(from string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total--
	if b.of[from]--; b.of[from] == 0 {
		delete(b.of, from)
	}
}

// counted is a connection that counts until it is closed.
type counted struct {
	net.Conn
	give func()
}

// Close implements [net.Conn].
func (c *counted) Close() error {
	defer c.give()
	return c.Conn.Close()
}

// ownBits is how much of an IPv6 address names a customer: the rest is his to
// choose.
const ownBits = 64

// network is an IPv4 address, or the network of an IPv6 address.
func network(remote string) string {
	a, err := netip.ParseAddrPort(remote)
	if err != nil {
		return "unknown"
	}
	ip := a.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	p, err := ip.Prefix(ownBits)
	if err != nil {
		return "unknown"
	}
	return p.String()
}
