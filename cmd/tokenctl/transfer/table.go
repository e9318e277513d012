package transfer

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// tableView is a CSV file: the names of its columns, and its rows with the lines
// that they begin in.
type tableView struct {
	header []string // lower case, words joined with "_"
	rows   [][]string
	lines  []int
	broken int // the line from which on it cannot be read, or 0
}

// table is the CSV in a text file; it has no header where it is none.
func (f *File) table() *tableView {
	if f.asTable != nil {
		return f.asTable
	}
	v := &tableView{}
	f.asTable = v
	text := f.text()
	first, _, _ := strings.Cut(strings.TrimLeft(text, "\r\n"), "\n")
	if text == "" || len(first) > 4096 || f.json().object != nil || f.json().list != nil {
		return v
	}
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	for _, comma := range []rune{';', '\t'} {
		if strings.Count(first, string(comma)) > strings.Count(first, string(r.Comma)) {
			r.Comma = comma
		}
	}
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return v
		}
		if err != nil {
			v.broken = max(1, v.last()+1)
			return v
		}
		line, _ := r.FieldPos(0)
		if v.header == nil {
			for _, name := range row {
				v.header = append(v.header, columnName(name))
			}
			continue
		}
		if strings.TrimSpace(strings.Join(row, "")) == "" {
			continue // a line of nothing, which an editor left
		}
		v.rows, v.lines = append(v.rows, row), append(v.lines, line)
	}
}

func (v *tableView) last() int {
	if len(v.lines) == 0 {
		return 0
	}
	return v.lines[len(v.lines)-1]
}

func columnName(s string) string {
	return strings.NewReplacer(" ", "_", "-", "_").Replace(strings.ToLower(strings.TrimSpace(s)))
}

// column is the place of the first of these columns, or -1.
func (v *tableView) column(names ...string) int {
	for _, n := range names {
		if at := slices.Index(v.header, n); at >= 0 {
			return at
		}
	}
	return -1
}

// product is how password managers are told apart: by columns of their own.
func (v *tableView) product() string {
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(v.header, n) })
	}
	switch {
	case has("login_totp"):
		return "Bitwarden CSV"
	case has("group", "title", "totp"):
		return "KeePassXC CSV"
	case has("grouping", "totp"):
		return "LastPass CSV"
	case has("vault", "totp"):
		return "Proton Pass CSV"
	case has("otpauth"):
		return "1Password or Apple CSV"
	case has("otpsecret"), has("otpurl"):
		return "Dashlane CSV"
	case has("timeotp_secret_base32"), has("hmacotp_secret_base32"):
		return "KeePass CSV"
	}
	return "CSV"
}

// tables is any CSV with a column for one-time codes.
type tables struct{}

// Name implements Format.
func (tables) Name() string { return "CSV" }

// The columns that secrets or addresses stand in. KeePass has one for each type.
func codeColumns() []string {
	return []string{
		"login_totp", "totp", "otpauth", "otpurl", "otpsecret", "otp", "otp_auth", "one_time_password", "one_time_code",
		"totp_secret", "2fa", "timeotp_secret_base32", "hmacotp_secret_base32",
	}
}

// Detect implements Format.
func (tables) Detect(f *File) Confidence {
	v := f.table()
	switch {
	case len(v.header) < 2 || isAddress(strings.TrimSpace(v.header[0])):
		return No
	case v.column(codeColumns()...) >= 0, v.column("secret") >= 0 && v.column("issuer", "name", "account") >= 0:
		return Sure
	case v.column("password", "login_password") >= 0 && v.column("username", "login_username", "user_name", "login") >= 0:
		return Likely
	}
	return No
}

// columns are the places of what a row can have.
type columns struct {
	codes                                            []int // KeePass has one for each type
	title, user, note, group, favourite              int
	issuer, kind, counter, digits, period, algorithm int
}

func (v *tableView) columns() columns {
	c := columns{
		title: v.column("title", "name"), user: v.column("login_username", "username", "user_name", "login", "email", "account"),
		note: v.column("notes", "note", "extra"), group: v.column("group", "folder", "grouping", "vault", "category", "collections"),
		favourite: v.column("favorite", "fav", "favourite"), issuer: v.column("issuer"), kind: v.column("type"),
		counter: v.column("counter", "hmacotp_counter"), digits: v.column("digits", "timeotp_length"),
		period: v.column("period", "timeotp_period"), algorithm: v.column("algorithm", "timeotp_algorithm"),
	}
	for _, name := range codeColumns() {
		if at := v.column(name); at >= 0 {
			c.codes = append(c.codes, at)
		}
	}
	if at := v.column("secret"); len(c.codes) == 0 && at >= 0 {
		c.codes = []int{at}
	}
	return c
}

// Read implements Format.
func (tables) Read(_ context.Context, f *File, _ Options) (Result, error) {
	v := f.table()
	c := collect(v.product())
	at := v.columns()
	if len(at.codes) == 0 {
		return Result{}, problem(NoAccounts, c.Format, "the table has no column for one-time codes")
	}
	without, bin := 0, 0
	for i, row := range v.rows {
		get := func(column int) string {
			if column < 0 || column >= len(row) {
				return ""
			}
			return strings.TrimSpace(row[column])
		}
		where := fmt.Sprintf("line %d", v.lines[i])
		if at.codes[0] >= len(row) && len(row) < len(v.header) {
			c.skip(where, get(at.issuer), get(at.title), "the line has too few columns")
			continue
		}
		found := 0
		for _, code := range at.codes {
			switch {
			case get(code) == "":
				continue
			case inRecycleBin(get(at.group)):
				bin++
			default:
				e := entry{where: where, note: get(at.note), group: get(at.group)}
				e.favourite = loose(strings.ToLower(get(at.favourite))).yes()
				c.addCell(e, v.header[code], get(code), at, get)
			}
			found++
		}
		if found == 0 {
			without++
		}
	}
	if v.broken > 0 {
		c.skip(fmt.Sprintf("line %d", v.broken), "", "", "its quotation marks are broken or the file is cut short; the table was not read from there on")
	}
	c.without(without)
	c.bin(bin)
	return c.Result, nil
}

// addCell adds what a column for codes holds: for a password manager an address
// or a secret; else a bare secret whose parameters have columns of their own.
func (c *collector) addCell(e entry, column, code string, at columns, get func(int) string) {
	hotp, totp := strings.HasPrefix(column, "hmacotp"), strings.HasPrefix(column, "timeotp")
	if !hotp && !totp && column != "secret" {
		c.addVaultItem(e, get(at.title), get(at.user), code)
		return
	}
	e.issuer, e.name = get(at.issuer), get(at.title)
	if at.issuer < 0 {
		e.issuer, e.name = get(at.title), get(at.user)
	}
	e.base32 = code
	if hotp {
		e.kind, e.counter = typeHOTP, parseNumber(get(at.counter))
		c.add(e)
		return
	}
	e.algorithm, e.digits, e.period = get(at.algorithm), parseNumber(get(at.digits)), parseNumber(get(at.period))
	if !totp {
		e.kind, e.counter = get(at.kind), parseNumber(get(at.counter))
	}
	c.add(e)
}

// inRecycleBin knows KeePass' bin in the languages that name it otherwise.
func inRecycleBin(group string) bool {
	for part := range strings.SplitSeq(group, "/") {
		switch strings.ToLower(strings.TrimSpace(part)) {
		case "recycle bin", "papierkorb", "corbeille", "papelera de reciclaje", "cestino", "prullenbak", "lixeira", "kosz":
			return true
		}
	}
	return false
}
