//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/tokenbridge/tokend/ipc/dbus"
	"github.com/tokenbridge/tokend/tokens/tokentest/busrig"
)

// crowd is how many ask at once on socket and bus together, half on each.
const crowd = 100

// The bare service on the bus.
const (
	bareName  = "com.example.Bare"
	bareIface = "com.example.Bare.Account"
	generate  = "GenerateCode"
)

// bare is the least a service on a bus can cost: it answers with a code's worth.
type bare struct{ from int64 }

// GenerateCode answers as tokend does.
//
//nolint:unparam // the form that godbus exports
func (b bare) GenerateCode(map[string]godbus.Variant) (string, int64, int64, map[string]godbus.Variant, *godbus.Error) {
	return "123456", b.from, b.from + 30, map[string]godbus.Variant{
		"Account": godbus.MakeVariant(dbus.Root + "/account/0123456789abcdef"), "Issuer": godbus.MakeVariant("Service 25"),
		"Name": godbus.MakeVariant("user25@example.org"), "Period": godbus.MakeVariant(uint32(30)),
	}, nil
}

// serveBareBus serves it until it is killed.
func serveBareBus(address string) error {
	c, err := godbus.Connect(address)
	if err != nil {
		return err
	}
	if err := c.Export(bare{time.Now().Truncate(30 * time.Second).Unix()}, "/", bareIface); err != nil {
		return err
	}
	if _, err := c.RequestName(bareName, godbus.NameFlagDoNotQueue); err != nil {
		return err
	}
	<-c.Context().Done()
	return nil
}

// onBus calls GenerateCode of an object, over a connection for each client.
func onBus(name, address, service string, path godbus.ObjectPath, iface string) caller {
	return caller{name, func() func(context.Context) error {
		c, err := godbus.Connect(address)
		if err != nil {
			return func(context.Context) error { return err }
		}
		o := c.Object(service, path)
		return func(ctx context.Context) error {
			var code string
			var from, until int64
			var details map[string]godbus.Variant
			return o.CallWithContext(ctx, iface+"."+generate, 0, map[string]godbus.Variant{}).Store(&code, &from, &until, &details)
		}
	}}
}

func (b *bench) bus(ctx context.Context) error {
	dir := filepath.Join(b.dir, "bus")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	bus, err := busrig.New(dir, busrig.Options{})
	if err != nil {
		return err
	}
	defer bus.Stop()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	server := exec.CommandContext(ctx, self, "bare-bus", bus.Address)
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		return err
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	d, err := b.tokendOn("onbus", "session", bus.Env...)
	if err != nil {
		return err
	}
	defer func() { _ = d.stop() }()
	if err := d.vault(ctx, 50); err != nil {
		return err
	}
	const account = "user25@example.org"
	a, err := d.Account(ctx, account)
	if err != nil {
		return err
	}
	path := dbus.Root + "/account/" + godbus.ObjectPath(a.ID)
	least := onBus("bare godbus", bus.Address, bareName, "/", bareIface)
	code := onBus("on the bus", bus.Address, dbus.Name, path, dbus.Name+".Account")
	for _, c := range []caller{least, code} {
		if err := answering(ctx, c); err != nil {
			return err
		}
	}
	if err := b.compareOnBus(ctx, least, code); err != nil {
		return err
	}
	return b.crowded(ctx, kept(code, crowd/2), kept(ours("at the socket", d.socket, account), crowd/2))
}

// kept is c whose n clients ask again: each has its connection, of which a user
// may have 64 at the socket.
func kept(c caller, n int) caller {
	calls := make([]func(context.Context) error, n)
	for i := range calls {
		calls[i] = c.client()
	}
	var next atomic.Int64
	return caller{c.name, func() func(context.Context) error { return calls[int(next.Add(1))%n] }}
}

// answering waits until c is answered.
func answering(ctx context.Context, c caller) error {
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		err := c.client()(ctx)
		if err == nil || time.Since(began) > patience {
			return err
		}
	}
}

// compareOnBus asks both in turns.
func (b *bench) compareOnBus(ctx context.Context, least, code caller) error {
	samples := map[string]sample{}
	for range 10 {
		for _, c := range []caller{least, code} {
			s, err := c.under(ctx, load{1, b.times(500), 0})
			if err != nil {
				return err
			}
			samples[c.name] = append(samples[c.name], s...)
		}
	}
	s, l := samples[code.name], samples[least.name]
	const what = "warm session code over D-Bus, 1 client"
	b.add(what+", p50", show(s.median()), least.name+" "+show(l.median()), ratio(s.median(), l.median()), "ratio at most 2")
	b.add(what+", p99", show(s.at(99)), least.name+" "+show(l.at(99)), ratio(s.at(99), l.at(99)), "-")
	return nil
}

// crowded asks on bus and socket together, each client ten times a second, and
// again without a pause. An error ends the measurement.
func (b *bench) crowded(ctx context.Context, onBus, atSocket caller) error {
	for _, m := range []struct {
		what string
		load load
		goal string
	}{
		{"each 10 a second", load{crowd / 2, b.times(60), 100 * time.Millisecond}, "no error, under 20 ms"},
		{"without a pause", load{crowd / 2, b.times(60), 0}, "no error"},
	} {
		var wg sync.WaitGroup
		samples, errs := [2]sample{}, [2]error{}
		for i, c := range []caller{onBus, atSocket} {
			wg.Go(func() { samples[i], errs[i] = c.under(ctx, m.load) })
		}
		wg.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			return err
		}
		for i, c := range []caller{onBus, atSocket} {
			b.add(fmt.Sprintf("warm session code, %d clients on bus and socket, %s, %s, p99", crowd, m.what, c.name),
				show(samples[i].at(99)), "p50 "+show(samples[i].median()), "-", m.goal)
		}
	}
	return nil
}
