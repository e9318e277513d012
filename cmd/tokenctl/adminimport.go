package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/cmd/tokenctl/seeds"
	"github.com/tokenbridge/tokend/ipc"
)

const fobImportHelp = `Bring in the seed file of hardware OTP tokens: PSKC, SafeNet or Aladdin XML,
SafeWord DAT, Yubico CSV and logs, CSV with named columns (such as Microsoft
Entra's), and plain lists of serial number and seed. What a file is, its content
decides. The key of an encrypted one is asked for.

First it is only looked at: which fobs are new, which are known, and which rows
cannot be read, with line and reason. Nothing is changed before you agree, or
say --apply. A known fob stays as it is, counter included. Rows that could not be
imported hinder no others, and the exit code is 20 then.

Imported fobs are nobody's. With --assign-by-file each is given to the user whose
name stands in its row, who is added with --add-users. docs/fobs.md describes
the formats.`

// fobImport is one run of the command.
type fobImport struct {
	c    *cli
	path string

	keyFile, passwordFile   string
	options                 seeds.Options
	apply, assign, addUsers bool
	key                     ipc.Secret

	doc fobImportDocument
	// page and its places are rows that were read and not sent yet.
	page   []ipc.NewFob
	wheres []string
	users  [][]string
	// known are the names of all users, in small letters, while it is looked at.
	known map[string]bool
	gifts []gift
	// newUsers are to be added, told what was said already.
	newUsers []string
	told     map[string]bool
	bar      progressLine
}

// gift is a fob that the file names a user of.
type gift struct{ where, serial, user string }

// fobImportDocument is the --json form of admin fob import.
type fobImportDocument struct {
	Version int    `json:"version"`
	File    string `json:"file"`
	Format  string `json:"format"`
	// Read is how many rows looked like fobs: Added, Same, Conflicts, Refused and
	// Skipped together.
	Read      int `json:"read"`
	Added     int `json:"added"`
	Same      int `json:"same"`
	Conflicts int `json:"conflicts"`
	Refused   int `json:"refused"`
	Skipped   int `json:"skipped"`
	// Assigned is how many fobs were, or would be, given to the users whom the file
	// names.
	Assigned int `json:"assigned"`
	// NewUsers is how many users were, or would be, added for that.
	NewUsers int `json:"new_users"`
	// Rows are those that are not simply imported, and why.
	Rows     []fobRow `json:"rows"`
	Warnings []fobRow `json:"warnings"`
	Notes    []string `json:"notes"`
	Applied  bool     `json:"applied"`
}

// fobRow is what is to be said of a row.
type fobRow struct {
	Where  string `json:"where"`
	Serial string `json:"serial,omitempty"`
	// Outcome is "skipped", "refused", "conflict" or "not-assigned"; empty of a
	// warning.
	Outcome string `json:"outcome,omitempty"`
	Field   string `json:"field,omitempty"`
	Reason  string `json:"reason"`
}

func (c *cli) fobImportCommand() *cobra.Command {
	m := &fobImport{c: c}
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Bring in the seed file of fobs", Long: fobImportHelp, Args: named(1, "FILE"),
		Example: "  tokenctl admin fob import fobs.csv\n  tokenctl admin fob import fobs.pskcxml --key-file transport.key --apply",
		RunE: func(cmd *cobra.Command, args []string) error {
			m.path = args[0]
			return m.run(cmd.Context())
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&m.apply, "apply", false, "do it, and ask nothing")
	fl.BoolVar(&m.assign, "assign-by-file", false, "give each fob to the user whose name stands in its row")
	fl.BoolVar(&m.addUsers, "add-users", false, "with that, add those whom the file names and who are no users yet")
	fl.StringVar(&m.keyFile, "key-file", "", "read the pre-shared key of an encrypted file from `FILE`")
	fl.StringVar(&m.passwordFile, "password-file", "", "read the passphrase of an encrypted file from `FILE`")
	fl.StringVar(&m.options.Type, "type", "", "what rows are that do not tell: hotp or totp (`TYPE`)")
	fl.StringVar(&m.options.Encoding, "encoding", "", "how a table writes its seeds: hex, base32 or base64 (`NAME`)")
	fl.StringVar(&m.options.Algorithm, "algorithm", "", "the hash of rows that do not tell: SHA1, SHA256 or SHA512 (`NAME`)")
	fl.IntVar(&m.options.Digits, "digits", 0, "the digits of rows that do not tell (`N`; 6)")
	fl.IntVar(&m.options.Period, "period", 0, "the seconds of totp rows that do not tell (`N`; 30)")
	cmd.MarkFlagsMutuallyExclusive("key-file", "password-file")
	return cmd
}

func (m *fobImport) run(ctx context.Context) error {
	data, err := m.c.readFile(m.path, seeds.MaxFile, true)
	if err != nil {
		return err
	}
	defer clear(data)
	defer func() { m.key.Wipe() }()
	if m.keyFile != "" || m.passwordFile != "" || m.c.canAsk() {
		m.options.Key = m.getKey
	}
	if m.addUsers && !m.assign {
		return usage("--add-users goes with --assign-by-file", adviceHelp("tokenctl admin fob import")...)
	}
	// The whole file is looked at before anything is changed: what is wrong with it
	// may stand at its end.
	sum, err := m.look(ctx, data)
	if err != nil {
		return err
	}
	if sum.Untold {
		if err := m.askType(ctx, data); err != nil {
			return err
		}
	}
	if !m.c.json {
		m.say()
	}
	do, err := m.agreed(ctx)
	if err != nil {
		return fail("import "+m.path, err)
	}
	if do {
		if _, err := m.read(ctx, data, true); err != nil {
			return m.broken(err)
		}
		m.give(ctx)
	}
	if err := m.c.answer(m.doc, func() { m.sayDone(do) }); err != nil {
		return err
	}
	if m.doc.Skipped+m.doc.Refused+m.doc.Conflicts > 0 || m.notGiven() > 0 {
		return silent{ipc.RowsSkipped.Info().Exit}
	}
	return nil
}

// look reads the file and asks the daemon what it would do.
func (m *fobImport) look(ctx context.Context, data []byte) (seeds.Summary, error) {
	sum, err := m.read(ctx, data, false)
	if err != nil {
		return sum, m.failure(err)
	}
	return sum, nil
}

// askType settles whether fobs count or follow the clock, where the file does not
// tell: a wrong guess would refuse every passcode.
func (m *fobImport) askType(ctx context.Context, data []byte) error {
	if !m.c.canAsk() {
		if !m.apply {
			return nil // the notes say so
		}
		return usage("the file does not tell of all rows whether they are hotp or totp", adviceFobType()...)
	}
	m.c.say("The file does not tell whether its fobs count up at each press of a button (hotp) or follow the clock (totp).")
	for {
		typ, err := m.c.ask(ctx, "Which are they, hotp or totp?", "", "--type TYPE")
		if err != nil {
			return fail("import "+m.path, err)
		}
		if typ = strings.ToLower(typ); typ == seeds.TypeHOTP || typ == seeds.TypeTOTP {
			m.options.Type = typ
			break
		}
		m.c.say("please answer hotp or totp, or press Ctrl-C to end")
	}
	_, err := m.look(ctx, data)
	return err
}

// agreed says whether the import is to be carried out.
func (m *fobImport) agreed(ctx context.Context) (bool, error) {
	if m.doc.Added == 0 && m.doc.Assigned == 0 {
		return false, nil
	}
	if m.apply || m.c.json || !m.c.canAsk() {
		return m.apply, nil
	}
	what := "Import " + plural(m.doc.Added, "fob")
	if m.doc.Added == 0 {
		what = "Give " + plural(m.doc.Assigned, "fob") + " to their users"
	} else if m.doc.Assigned > 0 {
		what += fmt.Sprintf(", and give %d to their users", m.doc.Assigned)
	}
	if m.doc.NewUsers > 0 {
		what += ", and add " + plural(m.doc.NewUsers, "user")
	}
	if err := m.c.confirm(ctx, what+"?", "--apply"); err != nil {
		return false, err
	}
	return true, nil
}

// read goes through the file once, page by page: to look, or to take.
func (m *fobImport) read(ctx context.Context, data []byte, take bool) (seeds.Summary, error) {
	m.doc = fobImportDocument{Version: ipc.Version, File: m.path, Rows: []fobRow{}, Warnings: []fobRow{}, Notes: []string{}, Applied: take}
	m.gifts, m.newUsers = nil, nil
	if m.assign {
		if err := m.learnUsers(ctx); err != nil {
			return seeds.Summary{}, err
		}
	}
	m.bar = progressLine{c: m.c, what: either(take, "imported", "looked at")}
	defer m.bar.end()
	defer m.drop()
	sum, err := seeds.Read(ctx, data, m.options, seeds.Sink{
		Fob: func(f seeds.Fob) error {
			defer f.Wipe()
			return m.add(ctx, f, take)
		},
		Skip: func(s seeds.Skip) error {
			m.doc.Skipped++
			m.doc.Rows = append(m.doc.Rows, fobRow{s.Where, s.Serial, "skipped", s.Field, s.Reason})
			return nil
		},
	})
	if err == nil {
		err = m.send(ctx, take)
	}
	m.doc.Format, m.doc.Notes = sum.Format, append(m.doc.Notes, sum.Notes...)
	m.doc.Read = m.doc.Added + m.doc.Same + m.doc.Conflicts + m.doc.Refused + m.doc.Skipped
	return sum, err
}

func (m *fobImport) add(ctx context.Context, f seeds.Fob, take bool) error {
	for _, w := range f.Warnings {
		m.doc.Warnings = append(m.doc.Warnings, fobRow{Where: f.Where, Serial: f.Serial, Reason: w})
	}
	m.page = append(m.page, newFob(f))
	m.wheres, m.users = append(m.wheres, f.Where), append(m.users, f.Users)
	if len(m.page) < ipc.MaxFobRows {
		return nil
	}
	return m.send(ctx, take)
}

// send has a page looked at, or taken.
func (m *fobImport) send(ctx context.Context, take bool) error {
	if len(m.page) == 0 {
		return nil
	}
	defer m.drop()
	res, err := m.c.daemon().ImportFobs(ctx, ipc.ImportFobsRequest{Fobs: m.page, Apply: take})
	if err != nil {
		return err
	}
	if len(res.Rows) != len(m.page) {
		return &ipc.Error{Kind: ipc.Internal, Message: "the daemon's answer is not about the rows that were sent"}
	}
	for i, r := range res.Rows {
		m.outcome(i, r)
	}
	m.bar.step(len(m.page))
	return nil
}

// outcome notes what becomes of row i of the page.
func (m *fobImport) outcome(i int, r ipc.FobRow) {
	switch r.Outcome {
	case ipc.FobAdded:
		m.doc.Added++
	case ipc.FobSame:
		m.doc.Same++
	case ipc.FobConflict:
		m.doc.Conflicts++
	default:
		m.doc.Refused++
	}
	if r.Outcome != ipc.FobAdded && r.Outcome != ipc.FobSame {
		m.doc.Rows = append(m.doc.Rows, fobRow{m.wheres[i], m.page[i].Serial, string(r.Outcome), r.Field, r.Problem})
		return
	}
	if !m.assign {
		return
	}
	for _, u := range m.users[i] {
		if name := strings.ToLower(u); m.addUsers && !m.known[name] {
			m.known[name] = true
			m.newUsers = append(m.newUsers, u)
			m.doc.NewUsers++
		} else if !m.known[name] {
			m.notAssigned(gift{m.wheres[i], m.page[i].Serial, u}, fmt.Sprintf("there is no user %q", u))
			continue
		}
		m.gifts = append(m.gifts, gift{m.wheres[i], m.page[i].Serial, u})
		m.doc.Assigned++
	}
}

func (m *fobImport) notAssigned(g gift, why string) {
	m.doc.Rows = append(m.doc.Rows, fobRow{g.where, g.serial, "not-assigned", "user", why})
}

// drop forgets the page.
func (m *fobImport) drop() {
	for i := range m.page {
		m.page[i].Secret.Wipe()
		m.page[i].PrivateID.Wipe()
	}
	m.page, m.wheres, m.users = m.page[:0], m.wheres[:0], m.users[:0]
}

// newFob is a row as it travels.
func newFob(f seeds.Fob) ipc.NewFob {
	return ipc.NewFob{
		Serial: f.Serial, Type: ipc.FobType(f.Type), Secret: inBase64(f.Secret), Algorithm: f.Algorithm, Digits: f.Digits, Period: f.Period,
		Counter: f.Counter, PublicID: modhex(f.PublicID), PrivateID: inBase64(f.PrivateID), Maker: f.Maker, Model: f.Model,
		Start: f.Start, Expiry: f.Expiry, Drift: int(f.Drift),
	}
}

func inBase64(b []byte) ipc.Secret {
	if len(b) == 0 {
		return nil
	}
	return base64.StdEncoding.AppendEncode(nil, b)
}

// modhex writes bytes as YubiKeys type them: each half a byte as a letter that has
// its place on every keyboard.
func modhex(b []byte) string {
	const letters = "cbdefghijklnrtuv"
	var s strings.Builder
	for _, x := range b {
		s.WriteByte(letters[x>>4])
		s.WriteByte(letters[x&15])
	}
	return s.String()
}

// learnUsers gets the names of all users, so that a look says whom there is not.
func (m *fobImport) learnUsers(ctx context.Context) error {
	users, err := m.c.allUsers(ctx, ipc.UserQuery{})
	m.known = map[string]bool{}
	for _, u := range users {
		m.known[strings.ToLower(u.Name)] = true
		m.known[u.ID] = true
	}
	return err
}

// give gives the fobs to the users whom the file names.
func (m *fobImport) give(ctx context.Context) {
	m.doc.Assigned, m.doc.NewUsers = 0, 0
	for _, name := range m.newUsers {
		// Where it fails, so does giving him his fob, which says why.
		if _, err := m.c.daemon().AddUser(ctx, ipc.NewUser{Name: name}); err == nil {
			m.doc.NewUsers++
		}
	}
	m.bar = progressLine{c: m.c, what: "given to users"}
	defer m.bar.end()
	for _, g := range m.gifts {
		_, err := m.c.daemon().AssignFob(ctx, g.serial, ipc.AssignFobRequest{User: g.user})
		if err != nil && ipc.KindOf(err) != ipc.AlreadyExists {
			m.notAssigned(g, reason(err))
		} else {
			m.doc.Assigned++
		}
		m.bar.step(1)
	}
}

// failure gives an error of reading its kind and its advice.
func (m *fobImport) failure(err error) error {
	doing := "import " + m.path
	var s *seeds.Error
	if !errors.As(err, &s) {
		var e *ipc.Error
		if errors.As(err, &e) || errors.Is(err, context.Canceled) {
			return deskFail(doing, err)
		}
		return usage(err.Error(), adviceHelp("tokenctl admin fob import")...)
	}
	e := &ipc.Error{Kind: ipc.InvalidArgument, Message: s.Error(), Err: s}
	switch s.Kind {
	case seeds.WrongKey:
		e.Kind = ipc.WrongPassword
	case seeds.Damaged:
		e.Kind = ipc.BackupDamaged
	case seeds.NewerVersion:
		e.Kind = ipc.NewerVersion
	case seeds.Unsupported, seeds.TooCostly, seeds.Packed:
		e.Kind = ipc.Unsupported
	case seeds.NoFobs, seeds.Empty:
		e.Kind = ipc.NotFound
	}
	return failWith(doing, e, adviceSeeds(s.Kind)...)
}

// broken is an import that failed in its middle.
func (m *fobImport) broken(err error) error {
	e := &ipc.Error{Kind: ipc.KindOf(err), Message: reason(err), Err: err}
	if errors.Is(err, context.Canceled) {
		e.Kind, e.Message = ipc.Cancelled, "cancelled"
	}
	return failWith("import all of "+m.path, e, adviceFobBroken(m.doc.Added)...)
}

// getKey asks for the key of an encrypted file once; the file is read twice.
func (m *fobImport) getKey(ctx context.Context, q seeds.Question) ([]byte, error) {
	if m.key == nil {
		key, err := m.newKey(ctx, q)
		if err != nil {
			return nil, err
		}
		m.key = key
	}
	return append([]byte(nil), m.key...), nil
}

func (m *fobImport) newKey(ctx context.Context, q seeds.Question) (ipc.Secret, error) {
	switch {
	case q.Passphrase && m.passwordFile != "":
		return m.c.readSecret(ctx, "--password-file", m.passwordFile)
	case q.Passphrase && m.keyFile != "":
		return nil, usage("the file is encrypted with a passphrase, and --key-file was given", adviceSeedKey(true)...)
	case !q.Passphrase && m.passwordFile != "":
		return nil, usage("the file is encrypted with a pre-shared key, and --password-file was given", adviceSeedKey(false)...)
	case q.Passphrase:
		return m.c.askSecret(ctx, "Passphrase of "+m.path, "--password-file FILE")
	case m.keyFile == "":
		what := "Pre-shared key"
		if q.Name != "" {
			what += " " + fmt.Sprintf("%q", q.Name)
		}
		return m.c.askSecret(ctx, what+" of "+m.path+", in hex or base64", "--key-file FILE")
	}
	b, err := m.c.readInput(ctx, "--key-file", m.keyFile, maxSecretFile)
	if n := len(b); err == nil && n != 16 && n != 24 && n != 32 {
		// Not the bytes of a key, but text, which may end in a newline.
		b = []byte(strings.TrimRight(string(b), "\r\n"))
	}
	return b, err
}
