package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/desk"
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/ipc/remote"
)

// listenerKey is the file, in the authority's folder, of the key that clients of
// the TLS listener pin.
const listenerKey = "listener.key"

// door is the authority's TLS listener.
type door struct {
	listener net.Listener // nil where there is none
	config   remote.Config
	reach    desk.Reach
}

// listenSetting is where the door is to be.
const listenSetting = "authority.listen"

// retryDoor is how long after a failure the door is tried again.
const retryDoor = 30 * time.Second

// openDoor opens the authority's TLS listener, if there is to be one, and not while
// the authority is locked. A listener that cannot be opened keeps no vault from being
// served: whoever administers the machine is told.
func (s *service) openDoor(ctx context.Context, open bool) {
	d := &door{}
	var err error
	if s.config.Authority.Listen != "" && open {
		if err = d.open(ctx, s.config.Authority, filepath.Join(s.config.StateDir, authorityDir)); err == nil {
			s.log.Info("the listener for an authority's devices is open", "address", d.listener.Addr().String())
		}
	}
	s.setDoor(d, err)
}

// setDoor makes a door the authority's. What is wrong with it is logged once, and not
// each time that it is tried.
func (s *service) setDoor(d *door, err error) {
	told := err
	if err != nil {
		told = fmt.Errorf("%w; it is tried again each %d s, without a restart", err, int(retryDoor.Seconds()))
		d.reach.Problem = told.Error()
	}
	news := s.configured.fails(listenSetting, told, s.doorFix(err))
	if err != nil {
		if news {
			s.log.Error("the authority cannot be reached from other machines, and it is tried again", "each", retryDoor, "err", err)
		}
	}
	if e := (message.Endpoint{Socket: s.config.Socket}); e.Check() == nil {
		d.reach.Endpoints = append(d.reach.Endpoints, e)
	}
	d.config.Log, d.config.Message = s.log, s.desk.Carry
	d.config.Descriptor = func(from string) ([]byte, error) {
		out, err := s.desk.Descriptor(from)
		return out.Descriptor, err
	}
	s.door.Store(d)
}

// reach is where the authority can be reached.
func (s *service) reach() desk.Reach {
	if d := s.door.Load(); d != nil {
		return d.reach
	}
	return desk.Reach{}
}

func (d *door) open(ctx context.Context, a authorityKey, dir string) error {
	text, err := readListenerKey(dir)
	defer clear(text)
	if err != nil {
		return err
	}
	cert, spki, err := remote.Certificate(text, rand.Reader, time.Now())
	if err != nil {
		return fmt.Errorf("cannot use %s: %w", filepath.Join(dir, listenerKey), err)
	}
	e, err := a.endpoint()
	if err != nil {
		return err
	}
	e.Pin = message.PinOf(spki)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", a.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	d.listener, d.config.Certificate, d.reach.Endpoints = l, cert, []message.Endpoint{e}
	return nil
}

// moving asks for the door to be opened or shut. One that is open stays as it is.
type moving struct {
	open bool
	done chan struct{} // nil where nobody waits
}

// moveDoor opens or shuts the authority's door, and returns when that is done.
func (s *service) moveDoor(open bool) {
	m := moving{open, make(chan struct{})}
	select {
	case s.moves <- m:
		<-m.done
	case <-s.doorless:
	}
}

// keepDoor serves at the authority's door until ctx ends.
func (s *service) keepDoor(ctx context.Context) {
	defer close(s.doorless)
	for {
		serving, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- s.door.Load().serve(serving) }()
		m, more, over := s.nextMove(ctx, ended)
		if stop(); !over {
			if err := <-ended; err != nil {
				s.log.Warn("the listener broke while it was shut", "err", err)
			}
		}
		if !more {
			return
		}
		s.openDoor(ctx, m.open)
		if m.done != nil {
			close(m.done)
		}
	}
}

// nextMove waits for what is to be done with the door: a door that is not open though it
// should be is tried again after a while. There is no more when ctx ends; over says that
// nothing is served any more.
func (s *service) nextMove(ctx context.Context, ended <-chan error) (m moving, more, over bool) {
	failed := time.NewTimer(retryDoor)
	defer failed.Stop()
	for {
		d := s.door.Load()
		if d.reach.Problem == "" {
			failed.Reset(retryDoor)
		}
		select {
		case m = <-s.moves:
			if m.open && d.listener != nil {
				close(m.done)
				continue
			}
			return m, true, over
		case <-failed.C:
			if d.reach.Problem != "" {
				return moving{open: true}, true, over
			}
		case err := <-ended:
			if over = true; err != nil {
				s.setDoor(&door{}, fmt.Errorf("the listener broke: %w", err))
			}
			ended = nil
		case <-ctx.Done():
			return moving{}, false, over
		}
	}
}

// serve answers until ctx ends.
func (d *door) serve(ctx context.Context) error {
	if d.listener == nil {
		return nil
	}
	if err := remote.Serve(ctx, d.listener, d.config); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// readListenerKey reads the key, or makes it, and with it the authority's folder:
// so it is there before the authority is.
func readListenerKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, listenerKey)
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return makeListenerKey(dir, path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the key of the listener: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot read the key of the listener: %w", err)
	}
	if mode := info.Mode(); !mode.IsRegular() || runtime.GOOS != "windows" && mode.Perm()&0o077 != 0 {
		return nil, fmt.Errorf("cannot use %s: its mode is %v, and others may read or write it", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, remote.MaxKey+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the key of the listener: %w", err)
	}
	return text, nil
}

func makeListenerKey(dir, path string) ([]byte, error) {
	text, err := remote.NewKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the authority's folder: %w", err)
	}
	return text, store.ReplaceFile(path, text)
}

// endpoint is what devices are told of where to connect to.
func (a authorityKey) endpoint() (message.Endpoint, error) {
	name, at := "authority.listen", a.Listen
	if a.Address != "" {
		name, at = "authority.address", a.Address
	}
	host, port, err := splitAddress(name, at, usualPort)
	if err != nil {
		return message.Endpoint{}, err
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		if a.Address != "" {
			return message.Endpoint{}, fmt.Errorf("authority.address must name a host, not %q", at)
		}
		return message.Endpoint{}, fmt.Errorf("authority.address must say where devices connect to, for authority.listen is every address of this machine")
	}
	e := message.Endpoint{Host: host, Port: port, Pin: message.Hash{1}} // any pin, for Check
	if err := e.Check(); err != nil {
		return message.Endpoint{}, fmt.Errorf("%s is not an address that a link can name: %q", name, at)
	}
	return e, nil
}

// The ports that are proposed where one is missing.
const (
	usualPort     = 7443
	usualMailPort = 587
)

// splitAddress takes a host:port apart; usual is a port to propose where none is there.
func splitAddress(name, at string, usual int) (host string, port uint16, err error) {
	host, digits, err := net.SplitHostPort(at)
	n, bad := strconv.ParseUint(digits, 10, 16)
	if err != nil || bad != nil || n == 0 || strings.ContainsAny(host, " \t") {
		err = fmt.Errorf("%s must be host:port, not %q", name, at)
		key := name[strings.LastIndexByte(name, '.')+1:]
		port, bad := strconv.Atoi(strings.TrimPrefix(at, ":"))
		switch {
		case bad == nil && (port < 1 || port > 65535):
			err = remedied{error: fmt.Errorf("%s has no port between 1 and 65535: %q", name, at), fix: fmt.Sprintf("write %s = \"192.0.2.1:%d\", with the host and the port that are right", key, usual)}
		case bad == nil: // the host alone is missing
			err = remedied{error: err, fix: fmt.Sprintf("write %s = \"192.0.2.1:%d\", with the host that is right", key, port)}
		case at != "" && !strings.ContainsAny(at, ": \t/[]@\"'"): // the port alone is missing
			err = remedied{error: err, fix: fmt.Sprintf("write %s = %q, with the port that is right", key, fmt.Sprintf("%s:%d", at, usual))}
		}
		return "", 0, err
	}
	return host, uint16(n), nil
}

func (a authorityKey) checkListen() error {
	if a.Listen == "" {
		if a.Address != "" {
			return remedied{error: errors.New("authority.address is for authority.listen alone"), fix: "write listen = \"192.0.2.1:7443\", too, with the address that is to be listened at", needs: listenSetting}
		}
		return nil
	}
	_, _, err := splitAddress(listenSetting, a.Listen, usualPort)
	if err != nil && a.Address == "" { // of which the same would be said
		return err
	}
	_, address := a.endpoint()
	return errors.Join(err, address)
}
