package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/daemon/authority/desk"
	"github.com/tokenbridge/tokend/daemon/authority/keyslot"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/ipc"
)

// The places where the authority key can be.
const (
	keyInFile       = "file"
	keyInCredential = "credential"
)

// authorityDir is the authority's folder in the state folder.
const authorityDir = "authority"

func (a authorityKey) check() error {
	return errors.Join(a.checkKey(), a.checkListen())
}

func (a authorityKey) checkKey() error {
	switch a.Key {
	case keyInFile:
	case keyInCredential:
		if a.KeyFile != "" {
			return remedied{error: errors.New("authority.key_file is for the key \"file\" alone"), fix: "write key = \"file\"; or remove key_file, where the credential has the key"}
		}
	default:
		return fmt.Errorf("authority.key must be file or credential, not %q", a.Key)
	}
	if a.KeyFile != "" && !filepath.IsAbs(a.KeyFile) {
		return errors.New("authority.key_file must be an absolute path")
	}
	return nil
}

// newDesk is where the authority is spoken to, if there is one; it is not open yet.
func (s *service) newDesk() *desk.Desk {
	c := desk.Config{
		Dir: filepath.Join(s.config.StateDir, authorityDir), Login: loginOf, GroupsOf: groupsOf, HasGroup: hasGroup, HasLogin: hasLogin, Reach: s.reach,
		Makers: s.verifierMakers(), Observe: s.observeAuthority, Committed: s.observeCommit, Tokens: deskTokens{s}, Opened: s.moveDoor, Log: s.log,
	}
	switch a := s.config.Authority; {
	case a.Key == keyInCredential:
		c.Key = store.Credential(os.Getenv("CREDENTIALS_DIRECTORY"))
	case a.KeyFile != "":
		c.Key = store.KeyFile(a.KeyFile)
	}
	// A mail server that cannot be used keeps nobody from the rest.
	sender, err := s.config.Mail.sender(os.Getenv("CREDENTIALS_DIRECTORY"))
	s.configured.fails(mailSettings, err, s.fixMail(err))
	s.configured.mail = func() (fix string, err error) {
		_, err = s.config.Mail.sender(os.Getenv("CREDENTIALS_DIRECTORY"))
		return s.fixMail(err), err
	}
	if err != nil {
		c.MailProblem = err.Error()
		s.log.Error("the authority cannot send links by e-mail", "err", err)
	} else if sender != nil {
		c.Mail = sender
	}
	return desk.New(c)
}

// fixMail is the command that lets the mail server's password be read, and has it read;
// empty where something else is wrong.
func (s *service) fixMail(err error) string {
	var own remedied
	if !errors.As(err, &own) || own.setting != mailPassword {
		return ""
	}
	fix := own.fix
	if strings.HasPrefix(fix, "chmod ") && s.mode == daemon.ModeSystem {
		fix = "sudo " + fix
	}
	if !strings.HasPrefix(fix, "chmod ") && !strings.HasPrefix(fix, "sudo ch") {
		return "" // no command writes a secret
	}
	return fix + " && " + s.configured.checks() + s.manage("restart")
}

// deskTokens are the tokens of the daemon, which is made after the desk.
type deskTokens struct{ s *service }

// Keyslots implements [desk.Tokens].
func (t deskTokens) Keyslots(p ipc.Principal) ([]keyslot.Slot, error) {
	return t.s.daemon.AuthorityTokens().Keyslots(p)
}

// Use implements [desk.Tokens].
func (t deskTokens) Use(ctx context.Context, p ipc.Principal, a ipc.Auth, interaction string, slots []keyslot.Slot,
	f func(ctx context.Context, id string, x keyslot.Exchange) error,
) error {
	return t.s.daemon.AuthorityTokens().Use(ctx, p, a, interaction, slots, f)
}

// loginOf is the login name of a uid; empty where it has none.
func loginOf(uid string) string {
	u, err := user.LookupId(uid)
	if err != nil {
		return ""
	}
	return u.Username
}

// groupsOf are the names of the groups of a login, its primary group too; none
// where there is no such login.
func groupsOf(login string) ([]string, error) {
	u, err := user.Lookup(login)
	var nobody user.UnknownUserError
	if errors.As(err, &nobody) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, id := range ids {
		g, err := user.LookupGroupId(id)
		var none user.UnknownGroupIdError
		if errors.As(err, &none) {
			continue // a number without a name
		}
		if err != nil {
			return nil, err
		}
		names = append(names, g.Name)
	}
	return names, nil
}

// hasLogin says whether the host has a login, by that very name. Where it cannot tell,
// nobody is warned.
func hasLogin(name string) bool {
	u, err := user.Lookup(name)
	var nobody user.UnknownUserError
	return err == nil && u.Username == name || err != nil && !errors.As(err, &nobody)
}

func hasGroup(name string) bool {
	_, err := user.LookupGroup(name)
	return err == nil
}
