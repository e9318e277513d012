package desk

import (
	"context"
	"encoding/base64"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/ipc"
)

// Fobs implements [ipc.Fobs].
func (d *Desk) Fobs(ctx context.Context, p ipc.Principal, q ipc.FobQuery) (ipc.FobPage, error) {
	c, err := d.require(ctx, p, actLook, ofSeen(q.User), authority.RoleHelpdesk, authority.RoleAdmin)
	if err != nil {
		return ipc.FobPage{}, err
	}
	limit, err := pageSize(q.Limit)
	if err != nil {
		return ipc.FobPage{}, err
	}
	page, err := c.authority.Fobs(authority.FobQuery{
		Prefix: q.Prefix, User: q.User, State: fob.State(q.State), Maker: q.Maker, After: q.After, Limit: limit, Within: c.within(),
	})
	if err != nil {
		return ipc.FobPage{}, d.failed(err)
	}
	out := ipc.FobPage{Version: ipc.Version, Fobs: make([]ipc.Fob, 0, len(page.Fobs)), Next: page.Next}
	for _, f := range page.Fobs {
		out.Fobs = append(out.Fobs, c.wireFob(f))
	}
	return out, nil
}

// Fob implements [ipc.Fobs].
func (d *Desk) Fob(ctx context.Context, p ipc.Principal, id string) (ipc.Fob, error) {
	c, err := d.require(ctx, p, actLook, ofFobToSee(id), authority.RoleHelpdesk, authority.RoleAdmin)
	if err != nil {
		return ipc.Fob{}, err
	}
	f, err := c.authority.Fob(id)
	return d.fob(c, f, err)
}

// fob is a fob, or what went wrong, as it is answered.
func (d *Desk) fob(c *caller, f authority.Fob, err error) (ipc.Fob, error) {
	if err != nil {
		return ipc.Fob{}, d.failed(err)
	}
	return c.wireFob(f), nil
}

// changeFob changes a fob for a caller of one of these roles who may touch it.
func (d *Desk) changeFob(ctx context.Context, p ipc.Principal, action, id string, of subject, roles []authority.Role,
	change func(c *caller) (authority.Fob, error),
) (ipc.Fob, error) {
	c, err := d.require(ctx, p, action, of, roles...)
	if err != nil {
		return ipc.Fob{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	if err := c.mayTouch(action, id); err != nil {
		return ipc.Fob{}, d.failed(err)
	}
	f, err := change(c)
	return d.fob(c, f, err)
}

func admins() []authority.Role { return []authority.Role{authority.RoleAdmin} }

func helpers() []authority.Role { return []authority.Role{authority.RoleHelpdesk, authority.RoleAdmin} }

// AssignFob implements [ipc.Fobs].
func (d *Desk) AssignFob(ctx context.Context, p ipc.Principal, id string, r ipc.AssignFobRequest) (ipc.Fob, error) {
	const action = "fob-assign"
	return d.changeFob(ctx, p, action, id, all(ofFob(id), ofUser(r.User)), admins(), func(c *caller) (authority.Fob, error) {
		who, err := c.authority.User(r.User)
		if err != nil {
			return authority.Fob{}, err
		}
		if err := c.mayChange(action, who); err != nil {
			return authority.Fob{}, err
		}
		return c.authority.AssignFob(c.by, id, who.ID)
	})
}

// UnassignFob implements [ipc.Fobs].
func (d *Desk) UnassignFob(ctx context.Context, p ipc.Principal, id string, r ipc.UnassignFobRequest) (ipc.Fob, error) {
	const action = "fob-unassign"
	c, err := d.require(ctx, p, action, ofHolder(id, r.User), admins()...)
	if err != nil {
		return ipc.Fob{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	if r.User != "" {
		_, err = c.changeable(action, r.User) // the others keep it
	} else {
		err = c.mayTouch(action, id)
	}
	if err != nil {
		return ipc.Fob{}, d.failed(err)
	}
	f, err := c.authority.UnassignFob(c.by, id, r.User)
	return d.fob(c, f, err)
}

// EnableFob implements [ipc.Fobs].
func (d *Desk) EnableFob(ctx context.Context, p ipc.Principal, id string) (ipc.Fob, error) {
	return d.changeFob(ctx, p, "fob-enable", id, ofFob(id), helpers(), func(c *caller) (authority.Fob, error) {
		return c.authority.EnableFob(c.by, id)
	})
}

// DisableFob implements [ipc.Fobs].
func (d *Desk) DisableFob(ctx context.Context, p ipc.Principal, id string) (ipc.Fob, error) {
	return d.changeFob(ctx, p, "fob-disable", id, ofFob(id), helpers(), func(c *caller) (authority.Fob, error) {
		return c.authority.DisableFob(c.by, id)
	})
}

// LoseFob implements [ipc.Fobs].
func (d *Desk) LoseFob(ctx context.Context, p ipc.Principal, id string) (ipc.Fob, error) {
	return d.changeFob(ctx, p, "fob-lost", id, ofFob(id), helpers(), func(c *caller) (authority.Fob, error) {
		return c.authority.LoseFob(c.by, id)
	})
}

// ReplaceFob implements [ipc.Fobs].
func (d *Desk) ReplaceFob(ctx context.Context, p ipc.Principal, id string, r ipc.ReplaceFobRequest) (ipc.Fob, error) {
	const action = "fob-replace"
	return d.changeFob(ctx, p, action, id, all(ofFob(id), ofFob(r.With)), admins(), func(c *caller) (authority.Fob, error) {
		if err := c.mayTouch(action, r.With); err != nil {
			return authority.Fob{}, err
		}
		return c.authority.ReplaceFob(c.by, id, r.With)
	})
}

// BurnFobs implements [ipc.Fobs].
func (d *Desk) BurnFobs(ctx context.Context, p ipc.Principal, r ipc.BurnFobsRequest) (ipc.BurnFobsResult, error) {
	const action = "fob-burn"
	of := ofAll
	if r.Serial != "" {
		of = ofFob(r.Serial)
	}
	c, err := d.require(ctx, p, action, of, authority.RoleAdmin)
	if err != nil {
		return ipc.BurnFobsResult{}, err
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	if r.Serial != "" {
		if err := c.mayTouch(action, r.Serial); err != nil {
			return ipc.BurnFobsResult{}, d.failed(err)
		}
	}
	raised, err := c.authority.BurnFobs(c.by, r.Serial, r.Margin)
	if err != nil {
		e := failed(err)
		if raised > 0 {
			e.Message += "; before that the passcodes of some fobs were used up, and it can be done again"
		}
		return ipc.BurnFobsResult{}, d.failed(e)
	}
	return ipc.BurnFobsResult{Version: ipc.Version, Raised: raised}, nil
}

// ImportFobs implements [ipc.Fobs].
func (d *Desk) ImportFobs(ctx context.Context, p ipc.Principal, r ipc.ImportFobsRequest) (ipc.ImportFobsResult, error) {
	c, err := d.require(ctx, p, "fob-import", ofAll, authority.RoleAdmin)
	if err != nil {
		return ipc.ImportFobsResult{}, err
	}
	if len(r.Fobs) > ipc.MaxFobRows {
		return ipc.ImportFobsResult{}, ipc.Errorf(ipc.InvalidArgument, "%d fobs are imported at once, at most", ipc.MaxFobRows)
	}
	in := readSeeds(r.Fobs)
	defer in.wipe()
	store := c.authority.PlanFobs
	if r.Apply {
		store = func(page []authority.Seed) ([]authority.Row, error) { return c.authority.ImportFobs(c.by, page) }
	}
	rows, err := store(in.seeds)
	if err != nil {
		return ipc.ImportFobsResult{}, d.failed(err)
	}
	return ipc.ImportFobsResult{Version: ipc.Version, Rows: in.report(rows), Applied: r.Apply}, nil
}

// seedRows are the rows of an import: those that are fobs, and what is wrong with
// the others.
type seedRows struct {
	seeds []authority.Seed
	rows  []ipc.FobRow // in the caller's order; those of seeds are still empty
	of    []int        // of each seed, which row it is
}

func readSeeds(fobs []ipc.NewFob) *seedRows {
	in := &seedRows{rows: make([]ipc.FobRow, len(fobs))}
	for i := range fobs {
		s, field, problem := readSeed(&fobs[i])
		if field != "" {
			in.rows[i] = ipc.FobRow{Serial: fobs[i].Serial, Outcome: ipc.FobRefused, Field: field, Problem: problem}
			continue
		}
		in.seeds, in.of = append(in.seeds, s), append(in.of, i)
	}
	return in
}

func readSeed(f *ipc.NewFob) (s authority.Seed, field, problem string) {
	s = authority.Seed{
		Serial: f.Serial, Type: fob.Type(f.Type), Algorithm: algorithm(f.Algorithm), Digits: f.Digits, Period: f.Period, Counter: f.Counter,
		Maker: f.Maker, Model: f.Model, Start: f.Start, Expiry: f.Expiry, Drift: f.Drift,
	}
	var ok bool
	if s.Secret, ok = fromBase64(f.Secret); !ok {
		return s, "secret", "it is not base64"
	}
	if s.PrivateID, ok = fromBase64(f.PrivateID); !ok {
		clear(s.Secret)
		return s, "private-id", "it is not base64"
	}
	if s.PublicID, ok = fromModhex(f.PublicID); !ok {
		clear(s.Secret)
		clear(s.PrivateID)
		return s, "public-id", "it is not modhex"
	}
	return s, "", ""
}

// fromBase64 decodes in memory that the caller can wipe.
func fromBase64(text []byte) ([]byte, bool) {
	if len(text) == 0 {
		return nil, true
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(out, text)
	if err != nil {
		clear(out)
		return nil, false
	}
	return out[:n], true
}

// fromModhex reads what fob.Modhex writes.
func fromModhex(text string) ([]byte, bool) {
	if len(text) > 64 || len(text)%2 != 0 {
		return nil, false
	}
	out := make([]byte, 0, len(text)/2)
	for i := 0; i < len(text); i += 2 {
		hi, lo := modhexDigit(text[i]), modhexDigit(text[i+1])
		if hi < 0 || lo < 0 {
			return nil, false
		}
		out = append(out, byte(hi<<4|lo))
	}
	if len(out) == 0 {
		return nil, true
	}
	return out, true
}

func modhexDigit(c byte) int {
	for i := range 16 {
		if fob.Modhex([]byte{byte(i)})[1] == c {
			return i
		}
	}
	return -1
}

// report puts what became of the seeds among the rows.
func (in *seedRows) report(rows []authority.Row) []ipc.FobRow {
	for i, r := range rows {
		in.rows[in.of[i]] = ipc.FobRow{Serial: r.Serial, Outcome: ipc.FobOutcome(r.Outcome), Field: r.Field, Problem: r.Problem}
	}
	return in.rows
}

func (in *seedRows) wipe() {
	for _, s := range in.seeds {
		clear(s.Secret)
		clear(s.PrivateID)
	}
}
