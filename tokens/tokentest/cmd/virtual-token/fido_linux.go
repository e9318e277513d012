package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// fidoKey is a FIDO2 key and where it is put.
type fidoKey struct {
	*vfido.Key
	port *vfido.Port
	// saved is the file that the key is kept in, if any.
	saved string
}

// load makes the key what it was the last time, if there was one.
func (k *fidoKey) load() error {
	if k.saved == "" {
		return nil
	}
	saved, err := os.ReadFile(k.saved)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot load a key: %w", err)
	}
	return k.Load(saved)
}

// save keeps the key until the next time.
func (k *fidoKey) save() error {
	if k.saved == "" {
		return nil
	}
	saved, err := k.Save()
	if err != nil {
		return err
	}
	return os.WriteFile(k.saved, saved, 0o600)
}

// makeKeys makes the FIDO2 keys and a folder for links to them.
func (s *stand) makeKeys(o options) error {
	if o.keys == 0 {
		return nil
	}
	keyOptions, err := o.key()
	if err != nil {
		return err
	}
	if !o.hid {
		if s.folder, err = os.MkdirTemp("", "virtual-fido2-"); err != nil {
			return fmt.Errorf("cannot make a folder for FIDO2 keys: %w", err)
		}
	}
	for i := range o.keys {
		k, err := vfido.New(keyOptions)
		if err != nil {
			return err
		}
		port := vfido.NewHIDPort()
		if !o.hid {
			port = vfido.NewPort(filepath.Join(s.folder, fmt.Sprintf("key%d", i)))
		}
		one := &fidoKey{Key: k, port: port}
		if o.saved != "" {
			one.saved = filepath.Join(o.saved, fmt.Sprintf("key%d", i))
		}
		if err := one.load(); err != nil {
			return err
		}
		s.keys = append(s.keys, one)
	}
	return nil
}

// key is what the command line says about keys.
func (o options) key() (vfido.Options, error) {
	k := vfido.Options{PIN: o.keyPIN, UV: o.keyFinger, AlwaysUV: o.keyAlways}
	switch o.keyVersion {
	case "2.1":
		k.Version = vfido.CTAP21
	case "2.0":
		k.Version = vfido.CTAP20
	case "u2f":
		k.Version = vfido.U2FOnly
	default:
		return k, fmt.Errorf("cannot understand the FIDO2 version %q", o.keyVersion)
	}
	if o.keyProtocols == "" {
		return k, nil
	}
	for _, p := range strings.Split(o.keyProtocols, ",") {
		n, err := strconv.Atoi(p)
		if err != nil {
			return k, fmt.Errorf("cannot understand the protocols %q", o.keyProtocols)
		}
		k.Protocols = append(k.Protocols, n)
	}
	return k, nil
}

// setKeyTouch sets how all keys answer to touches and fingers; each is
// announced.
func (s *stand) setKeyTouch(how string, touch func(context.Context) bool) {
	for i, k := range s.keys {
		answer := func(what string) vfido.TouchFunc {
			return func(ctx context.Context, p vfido.Prompt) bool {
				s.say("key %d wants a %s for %v %s (%s)", i, what, p.Command, p.RP, how)
				ok := touch(ctx)
				s.say("key %d: touched %v", i, ok)
				return ok
			}
		}
		k.SetTouch(answer("touch"))
		k.SetFinger(answer("finger"))
	}
}

func (s *stand) keyStatus() {
	for i, k := range s.keys {
		where := "removed"
		if k.port.Key() != nil {
			where = "inserted"
		}
		n := k.Counts()
		s.say("key %d: %s at %s, PIN %v, %d resident of %d credentials", i, where, k.port.Path(),
			map[bool]string{true: "none", false: "set"}[k.PINIs("")], k.Residents(), len(k.Credentials()))
		s.say("key %d: %d PINs seen, %d wrong, %d assertions, asked %d times what it holds, %d outputs of hmac-secret, %d of %d touches given",
			i, n.PINsSeen, n.PINFailures, n.Assertions, n.Preflights, n.HMACOutputs, n.TouchesGiven, n.TouchesAsked)
	}
}

// closeKeys pulls all keys out, keeps those that are to be kept, and removes the
// folder of links.
func (s *stand) closeKeys() error {
	var errs []error
	for _, k := range s.keys {
		errs = append(errs, k.port.Remove(), k.save())
	}
	if s.folder != "" {
		errs = append(errs, os.RemoveAll(s.folder))
	}
	return errors.Join(errs...)
}
