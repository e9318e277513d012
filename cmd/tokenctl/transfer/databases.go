package transfer

import (
	"bytes"
	"context"
)

// database is the database of an app, as it lies on a phone to which its owner has
// all rights: Google Authenticator's, Microsoft Authenticator's, Stratum's.
type database struct{}

// Name implements Format.
func (database) Name() string { return "SQLite database" }

// Detect implements Format.
func (database) Detect(f *File) Confidence {
	if bytes.HasPrefix(f.Data, []byte(sqliteMagic)) {
		return Sure
	}
	return No
}

// Read implements Format.
func (d database) Read(_ context.Context, f *File, _ Options) (Result, error) {
	file, err := openSQLite(f.Data)
	if err != nil {
		return Result{}, damaged(d.Name(), err.Error())
	}
	tables, err := file.tables()
	if err != nil {
		return Result{}, damaged(d.Name(), err.Error())
	}
	var format string
	var read func(*collector, string, sqliteRow)
	name := "accounts"
	columns := map[string]bool{}
	for _, c := range sqlColumns(tables[name]["sql"]) {
		columns[c] = true
	}
	switch {
	case columns["oath_secret_key"]:
		format, read = "Microsoft Authenticator", addMicrosoft
	case columns["secret"] && columns["email"]:
		format, read = migration{}.Name(), addGoogle
	case tables["authenticator"] != nil:
		name, format, read = "authenticator", stratum{}.Name(), addStratum
	default:
		return Result{}, problem(Unsupported, d.Name(), "it is the database of an app that is not known here; the app's own export may be")
	}
	rows, err := file.table(tables[name])
	if err != nil {
		return Result{}, damaged(format, err.Error())
	}
	c := collect(format)
	for i, row := range rows {
		read(c, nth(i), row)
	}
	if file.journalled() {
		c.note("the database has a journal beside it (its name ends in -wal), in which the newest accounts may be")
	}
	return c.Result, nil
}

// addGoogle reads a row of Google Authenticator's.
func addGoogle(c *collector, where string, r sqliteRow) {
	e := entry{where: where, issuer: r["issuer"], name: r["email"], base32: r["secret"], counter: parseNumber(r["counter"])}
	switch r["type"] {
	case "", "0":
	case "1":
		e.kind = typeHOTP
	default:
		e.kind = "unknown"
	}
	if e.issuer != "" {
		_, e.name = splitLabel(e.issuer, e.name)
	}
	c.add(e)
}

// addMicrosoft reads a row of Microsoft Authenticator's: account_type is 0 for
// others' accounts, 1 for Microsoft's personal ones, and 2 for those of a company,
// which are bound to the phone.
func addMicrosoft(c *collector, where string, r sqliteRow) {
	e := entry{where: where, issuer: r["name"], name: r["username"], order: int(min(parseNumber(r["ux_position"]).value, 1<<30))}
	const elsewhere = "; it has to be set up anew at the service"
	switch secret := r["oath_secret_key"]; {
	case secret == "" && r["encrypted_oath_secret_key"] != "":
		c.skip(where, e.issuer, e.name, "its secret is encrypted by the phone"+elsewhere)
		return
	case secret == "":
		c.skip(where, e.issuer, e.name, "it is approved by push and has no secret"+elsewhere)
		return
	case r["account_type"] == "0":
		e.base32 = secret
	case r["account_type"] == "1":
		raw, err := anyBase64(secret)
		if err != nil {
			c.skip(where, e.issuer, e.name, "its secret is not base64")
			return
		}
		e.secret, e.digits = nonNil(raw), num(8)
	default:
		c.skip(where, e.issuer, e.name, "it is the account of an organisation, whose secret is bound to the phone"+elsewhere)
		return
	}
	c.add(e)
}

// addStratum reads a row of Stratum's own database.
func addStratum(c *collector, where string, r sqliteRow) {
	e := stratum{}.entry(stratumEntry{
		Type: parseNumber(r["type"]), Algorithm: parseNumber(r["algorithm"]), Digits: parseNumber(r["digits"]), Period: parseNumber(r["period"]),
		Counter: parseNumber(r["counter"]), Ranking: parseNumber(r["ranking"]),
		Issuer: loose(r["issuer"]), Username: loose(r["username"]), Secret: loose(r["secret"]),
	})
	e.where = where
	c.add(e)
}
