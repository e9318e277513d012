package transfer

import (
	"bytes"
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// FromAddress reads the otpauth address by which the daemon hands out an account.
// note comes from elsewhere. The row is the caller's to wipe.
func FromAddress(address []byte, note string) (Row, error) {
	c := collect("otpauth address")
	e := entry{where: "the address", note: note}
	if reason := parseAddress(&e, string(address)); reason != "" {
		return Row{}, problem(Damaged, c.Format, "%s", reason)
	}
	c.add(e)
	if len(c.Rows) != 1 {
		return Row{}, problem(Damaged, c.Format, "%s", c.Skipped[0].Reason)
	}
	return c.Rows[0], nil
}

// Address is the row as an otpauth address, the same as the daemon writes: Steam
// has a type of its own, so that what does not know it makes no wrong codes.
func (r Row) Address() string {
	var b strings.Builder
	b.WriteString(schemeOTP + r.Type + "/")
	switch {
	case r.Issuer != "":
		b.WriteString(escaped(r.Issuer) + ":")
	case strings.Contains(r.Name, ":"):
		b.WriteString(":") // so that the name's own colon does not make an issuer
	}
	b.WriteString(escaped(r.Name) + "?secret=" + r.base32())
	if r.Issuer != "" {
		b.WriteString("&issuer=" + escaped(r.Issuer))
	}
	b.WriteString("&algorithm=" + r.Algorithm + "&digits=" + strconv.Itoa(r.Digits))
	if r.Type == typeHOTP {
		b.WriteString("&counter=" + strconv.FormatUint(r.Counter, 10))
	} else {
		b.WriteString("&period=" + strconv.Itoa(r.Period))
	}
	return b.String()
}

// escaped percent-encodes for the label and for the query alike.
func escaped(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(s), "+", "%20"), "%40", "@")
}

func (r Row) base32() string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(r.Secret)
}

// What names the row to its owner.
func (r Row) What() string {
	if r.Issuer == "" || r.Issuer == r.Name {
		return r.Name
	}
	return r.Issuer + " " + r.Name
}

// WriteAddresses writes a line for each row. It expresses every account; notes
// are not in it.
func WriteAddresses(rows []Row) []byte {
	var b bytes.Buffer
	for _, r := range rows {
		b.WriteString(r.Address())
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// WriteMigration writes Google Authenticator's export: the texts of its QR codes,
// each of at most limit bytes and ten accounts, as the app makes them. random
// gives the export its number. Rows that the format cannot express are named.
func WriteMigration(rows []Row, limit int, random io.Reader) (codes []string, refused []Skip, err error) {
	const perCode = 10
	var id [4]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return nil, nil, fmt.Errorf("cannot number the export: %w", err)
	}
	var parts [][][]byte
	room, size := migrationRoom(limit), 0
	for _, r := range rows {
		reason := notMigratable(r)
		m := migratedMessage(r)
		if reason == "" && len(m) > room {
			reason = "its name and secret are too long for a QR code"
		}
		if reason != "" {
			refused = append(refused, Skip{Where: r.Where, Issuer: r.Issuer, Name: r.Name, Reason: reason})
			clear(m)
			continue
		}
		if n := len(parts); n == 0 || len(parts[n-1]) >= perCode || size+len(m) > room {
			parts, size = append(parts, nil), 0
		}
		parts[len(parts)-1] = append(parts[len(parts)-1], m)
		size += len(m)
	}
	number := uint64(id[0])<<16 | uint64(id[1])<<8 | uint64(id[2])
	for i, p := range parts {
		codes = append(codes, migrationText(p, len(parts), i, number))
		for _, m := range p {
			clear(m)
		}
	}
	return codes, refused, nil
}

const migrationBegin = schemeMigration + "offline?data="

// migrationRoom is how many bytes of accounts fit into a text, with room for the
// four numbers at its end and for base64's signs that are escaped.
func migrationRoom(limit int) int {
	const numbers = 24
	return max(0, (limit-len(migrationBegin))*7/10-numbers)
}

// notMigratable says why Google's message cannot express an account, if so.
func notMigratable(r Row) string {
	switch {
	case r.Type == typeSteam:
		return "Google's format has no Steam codes"
	case r.Type == typeTOTP && r.Period != usualPeriod:
		return fmt.Sprintf("Google's format has no period but %d seconds, and this account has %d", usualPeriod, r.Period)
	case r.Digits != 6 && r.Digits != 8:
		return fmt.Sprintf("Google's format has codes of 6 or 8 digits, and this account has %d", r.Digits)
	case r.Counter > 1<<62:
		return "its counter is too large for Google's format"
	}
	return ""
}

// migratedMessage is Google's OtpParameters.
func migratedMessage(r Row) []byte {
	const totp, hotp = 2, 1
	var b []byte
	b = protobufBytes(b, 1, r.Secret)
	b = protobufBytes(b, 2, []byte(r.Name))
	if r.Issuer != "" {
		b = protobufBytes(b, 3, []byte(r.Issuer))
	}
	algorithm := uint64(1 + slices.Index([]string{"SHA1", "SHA256", "SHA512"}, r.Algorithm))
	b = protobufNumber(b, 4, algorithm)
	digits := uint64(1)
	if r.Digits == 8 {
		digits = 2
	}
	b = protobufNumber(b, 5, digits)
	if r.Type == typeHOTP {
		return protobufNumber(protobufNumber(b, 6, hotp), 7, r.Counter)
	}
	return protobufNumber(b, 6, totp)
}

var errDiffers = errors.New("what was read back is not what was written")

// Check reads the files of a written export again and compares them with the rows
// that went into them, as far as the format can tell. It fails where anything
// differs.
func Check(ctx context.Context, rows []Row, password []byte, files ...[]byte) error {
	o := Options{Password: func(context.Context, Question) ([]byte, error) { return bytes.Clone(password), nil }}
	var results []Result
	defer func() {
		for i := range results {
			results[i].Wipe()
		}
	}()
	for _, data := range files {
		res, err := Part(ctx, data, "", o)
		if err != nil {
			return fmt.Errorf("cannot read back what was written: %w", err)
		}
		results = append(results, res)
	}
	return compare(Join(results...), rows)
}

// compare takes the rows in the order in which they were written.
func compare(res Result, rows []Row) error {
	if len(res.Skipped) > 0 || len(res.Rows) != len(rows) {
		return fmt.Errorf("%w: %d of %d accounts are in it", errDiffers, len(res.Rows), len(rows))
	}
	for i, got := range res.Rows {
		want := rows[i]
		if !bytes.Equal(got.Secret, want.Secret) || got.Type != want.Type || got.Algorithm != want.Algorithm || got.Digits != want.Digits ||
			got.Period != want.Period || got.Counter != want.Counter || got.Name != want.Name || want.Issuer != "" && got.Issuer != want.Issuer {
			return fmt.Errorf("%w: account %d", errDiffers, i+1)
		}
	}
	return nil
}
