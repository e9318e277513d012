package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/tokenbridge/tokend/cmd/tokenctl/transfer"
	"github.com/tokenbridge/tokend/ipc"
)

// exportPassword gets the password of encrypted exports. One from a file is used
// for every file that is read, since a set of exports mostly has one.
type exportPassword struct {
	c      *cli
	file   string
	loaded ipc.Secret
	unsure string // the file of which it was said that it does not tell what it is
}

func (p *exportPassword) wipe() { p.loaded.Wipe() }

// get answers one question of a file.
func (p *exportPassword) get(ctx context.Context, name string, q transfer.Question) ([]byte, error) {
	if p.file != "" {
		if p.loaded == nil {
			b, err := p.c.readSecret(ctx, "--password-file", p.file)
			if err != nil {
				return nil, err
			}
			p.loaded = b
		}
		return bytes.Clone(p.loaded), nil
	}
	if q.Unsure && p.unsure != name {
		p.unsure = name
		p.c.say("%s is encrypted and does not tell by which product; it may be a backup of %s, or no export at all", clean(name), clean(q.Format))
	}
	return p.c.askSecret(ctx, fmt.Sprintf("%s of %s (%s)", upperFirst(q.What), name, q.Format), "--password-file FILE")
}

// maxPasswords is how often the password of one export is asked for.
const maxPasswords = 3

// readOne reads one file. A password that was typed wrong is asked for again; one
// from a file is tried once.
func (c *cli) readOne(ctx context.Context, p *exportPassword, one *importedOne, data []byte) (transfer.Result, error) {
	doing := "read " + one.File
	for tried := 1; ; tried++ {
		asked := false
		o := transfer.Options{Progress: c.sayWork}
		if p.file != "" || c.canAsk() {
			o.Password = func(ctx context.Context, q transfer.Question) ([]byte, error) {
				asked = true
				return p.get(ctx, one.File, q)
			}
		}
		res, err := transfer.Part(ctx, data, one.File, o)
		one.Encrypted = asked
		if err == nil {
			return res, nil
		}
		wrong := transfer.KindOf(err) == transfer.WrongPassword || asked && transfer.KindOf(err) == transfer.UnknownEncrypted
		if wrong && p.file == "" && c.canAsk() && tried < maxPasswords {
			c.say("%s", clean(err.Error()))
			continue
		}
		return res, importFailure(doing, one.File, asked, err)
	}
}

// sayWork announces what takes a while, where somebody watches.
func (c *cli) sayWork(w transfer.Work) {
	switch {
	case !c.errTTY:
	case w.Memory > 0:
		c.say("working: deriving a key as %s wants it takes a moment and %d MiB of memory …", clean(w.Format), w.Memory>>20)
	default:
		c.say("working: %s, this takes a moment …", clean(w.Format))
	}
}

// importFailure gives an error of package transfer its kind and its advice.
func importFailure(doing, file string, asked bool, err error) error {
	var t *transfer.Error
	if !errors.As(err, &t) {
		return fail(doing, err)
	}
	e := &ipc.Error{Kind: ipc.InvalidArgument, Message: t.Error(), Err: t}
	switch t.Kind {
	case transfer.WrongPassword:
		e.Kind = ipc.WrongPassword
	case transfer.Damaged, transfer.Empty:
		e.Kind = ipc.BackupDamaged
	case transfer.NewerVersion:
		e.Kind = ipc.NewerVersion
	case transfer.Unsupported, transfer.TooCostly:
		e.Kind = ipc.Unsupported
	case transfer.NoAccounts:
		e.Kind = ipc.NotFound
	case transfer.UnknownEncrypted:
		if asked {
			e.Kind = ipc.WrongPassword
		}
	}
	for _, n := range t.Notes {
		e.Items = append(e.Items, ipc.Item{Reason: n})
	}
	return failWith(doing, e, adviceImport(t.Kind, file)...)
}
