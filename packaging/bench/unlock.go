//go:build linux

package main

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
	"github.com/tokenbridge/tokend/tokens/helper"
	"github.com/tokenbridge/tokend/tokens/tokentest/rig"
	"github.com/tokenbridge/tokend/tokens/tokentest/vpiv"
)

// slots of the card that the daemon does not use, for measuring the token alone.
const aloneSlot = "84"

// unlock measures from a locked vault to the first code, and takes off what the
// token itself needs: the same operation of the same helper on the same token,
// without the daemon.
func (b *bench) unlock(ctx context.Context) error {
	if err := b.unlockSoft(ctx); err != nil {
		return fmt.Errorf("software token: %w", err)
	}
	if err := b.unlockPIV(ctx); err != nil {
		return fmt.Errorf("PIV: %w", err)
	}
	return nil
}

func (b *bench) unlockSoft(ctx context.Context) error {
	d, err := b.tokend("unlock-soft")
	if err != nil {
		return err
	}
	defer func() { _ = d.stop() }()
	if err := d.vault(ctx, 1000); err != nil {
		return err
	}
	soft := helper.New(helper.Config{Path: filepath.Join(b.bin, "tokend-helper"), Kind: tokens.KindSoft})
	made, err := soft.Enroll(ctx, tokens.EnrollRequest{Classes: []tokens.Class{tokens.ClassSession}, PIN: []byte(passphrase)})
	if err != nil {
		return fmt.Errorf("cannot enrol without the daemon: %w", err)
	}
	agree := tokens.AgreeRequest{Key: made.Keys[0], PIN: []byte(passphrase), KeyFile: made.KeyFile}
	return b.compareUnlock(ctx, d, soft, agree, ipc.Auth{Token: "first", PIN: ipc.Secret(passphrase)}, "software token")
}

// withCard starts a private pcscd with a virtual card in its first reader.
func withCard(ctx context.Context) (*rig.Rig, error) {
	r, err := rig.New(ctx, rig.Options{})
	if err != nil {
		return nil, err
	}
	card, err := vpiv.New(vpiv.YubiKey(5, 4, 3))
	if err == nil {
		err = r.Insert(card, 0)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (b *bench) unlockPIV(ctx context.Context) (err error) {
	r, err := withCard(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	d, err := b.tokend("unlock-piv", r.Env()...)
	if err != nil {
		return err
	}
	defer func() { _ = d.stop() }()
	const pin = vpiv.FactoryPIN
	if _, err := d.Init(ctx, ipc.InitRequest{
		Enroll:           &ipc.EnrollRequest{Kind: "piv", Label: "card", PIN: ipc.Secret(pin)},
		RecoveryPassword: ipc.Secret(password),
	}); err != nil {
		return fmt.Errorf("cannot make a vault: %w", err)
	}
	if err := d.accounts(ctx, 1000, 0); err != nil {
		return err
	}
	piv := helper.New(helper.Config{Path: filepath.Join(b.bin, "tokend-helper"), Kind: tokens.KindPIV, Env: append(helper.Environment(), r.Env()...)})
	made, err := piv.Enroll(ctx, tokens.EnrollRequest{
		Locator: r.Reader(), Classes: []tokens.Class{tokens.ClassSession}, PIN: []byte(pin),
		Slots: map[tokens.Class]string{tokens.ClassSession: aloneSlot},
	})
	if err != nil {
		return fmt.Errorf("cannot enrol without the daemon: %w", err)
	}
	agree := tokens.AgreeRequest{Locator: r.Reader(), Key: made.Keys[0], PIN: []byte(pin)}
	return b.compareUnlock(ctx, d, piv, agree, ipc.Auth{Token: "card", PIN: ipc.Secret(pin)}, "virtual PIV card")
}

// compareUnlock asks the token alone and through the daemon in turns.
func (b *bench) compareUnlock(ctx context.Context, d *daemon, alone tokens.Driver, agree tokens.AgreeRequest, auth ipc.Auth, name string) error {
	var token, whole sample
	for range b.times(40) {
		peer, err := ecdh.P256().GenerateKey(rand.Reader)
		if agree.Key.Algorithm == tokens.X25519 {
			peer, err = ecdh.X25519().GenerateKey(rand.Reader)
		}
		if err != nil {
			return err
		}
		agree.Peer = peer.PublicKey().Bytes()
		began := time.Now()
		if _, err := alone.Agree(ctx, agree); err != nil {
			return fmt.Errorf("cannot use the token without the daemon: %w", err)
		}
		token = append(token, time.Since(began))
		if err := d.Lock(ctx); err != nil {
			return err
		}
		began = time.Now()
		if _, err := d.Unlock(ctx, ipc.UnlockRequest{Auth: auth}); err != nil {
			return err
		}
		if _, err := d.Code(ctx, "user500@example.org", ipc.CodeRequest{}); err != nil {
			return err
		}
		whole = append(whole, time.Since(began))
	}
	w, t := whole.median(), token.median()
	b.add("locked to the first code, 1,000 accounts, "+name, show(w), "the token alone "+show(t), show(w-t)+" beyond", "at most 50 ms beyond")
	return nil
}
