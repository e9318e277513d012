package transfer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
)

// sqliteMagic begins a database file (sqlite.org/fileformat2.html, section 1.3).
const sqliteMagic = "SQLite format 3\x00"

var errSQLite = errors.New("the database is cut short or damaged")

// sqliteFile reads whole tables out of a database file. It knows nothing of SQL,
// indices, or the journal that may lie beside the file.
type sqliteFile struct {
	data     []byte
	pageSize int
	usable   int // bytes of a page
	encoding uint32
}

// sqliteRow is the columns of a row, as text, by their names in lower case.
type sqliteRow map[string]string

const (
	sqliteHeader   = 100
	sqliteInterior = 0x05
	sqliteLeaf     = 0x0d
	sqliteWAL      = 2
	// maxRows bounds what is read of a table.
	maxRows = 20_000
)

func openSQLite(data []byte) (*sqliteFile, error) {
	if len(data) < sqliteHeader || !bytes.HasPrefix(data, []byte(sqliteMagic)) {
		return nil, errSQLite
	}
	size := int(binary.BigEndian.Uint16(data[16:]))
	if size == 1 {
		size = 1 << 16
	}
	if size < 512 || size&(size-1) != 0 || int(data[20]) > size-480 || len(data) < size {
		return nil, errSQLite
	}
	word := func(at int) uint32 { return binary.BigEndian.Uint32(data[at:]) }
	if pages := int64(word(28)); len(data)%size != 0 || word(24) == word(92) && int64(len(data)) < pages*int64(size) {
		return nil, errSQLite
	}
	return &sqliteFile{data: data, pageSize: size, usable: size - int(data[20]), encoding: word(56)}, nil
}

// journalled says that what was written last may not be in the file.
func (s *sqliteFile) journalled() bool { return s.data[18] == sqliteWAL || s.data[19] == sqliteWAL }

// page is a page, counted from 1.
func (s *sqliteFile) page(n uint32) ([]byte, error) {
	start := (int64(n) - 1) * int64(s.pageSize)
	if n == 0 || start+int64(s.pageSize) > int64(len(s.data)) {
		return nil, errSQLite
	}
	return s.data[start:][:s.pageSize], nil
}

// tables are the rows of the schema: names of tables, the statements that made
// them, and their first pages.
func (s *sqliteFile) tables() (map[string]sqliteRow, error) {
	rows, err := s.rows(1, []string{"type", "name", "tbl_name", "rootpage", "sql"})
	if err != nil {
		return nil, err
	}
	out := map[string]sqliteRow{}
	for _, r := range rows {
		if r["type"] == "table" {
			out[strings.ToLower(r["name"])] = r
		}
	}
	return out, nil
}

// table is all rows of a table of the schema.
func (s *sqliteFile) table(schema sqliteRow) ([]sqliteRow, error) {
	root, err := strconv.ParseUint(schema["rootpage"], 10, 32)
	if err != nil || strings.Contains(strings.ToUpper(schema["sql"]), "WITHOUT ROWID") {
		return nil, errSQLite
	}
	return s.rows(uint32(root), sqlColumns(schema["sql"]))
}

func (s *sqliteFile) rows(root uint32, columns []string) ([]sqliteRow, error) {
	w := &sqliteWalk{file: s, columns: columns, seen: map[uint32]bool{}}
	if err := w.page(root); err != nil {
		return nil, err
	}
	return w.rows, nil
}

// sqliteWalk goes through the tree of a table (section 1.6).
type sqliteWalk struct {
	file    *sqliteFile
	columns []string
	seen    map[uint32]bool // pages, none of which is in a table twice
	rows    []sqliteRow
	depth   int
}

func (w *sqliteWalk) page(n uint32) error {
	if w.depth++; w.depth > 20 || w.seen[n] {
		return errSQLite
	}
	defer func() { w.depth-- }()
	w.seen[n] = true
	page, err := w.file.page(n)
	if err != nil {
		return err
	}
	at := 0
	if n == 1 {
		at = sqliteHeader
	}
	kind, cells := page[at], int(binary.BigEndian.Uint16(page[at+3:]))
	pointers := at + 8
	if kind == sqliteInterior {
		pointers = at + 12
	}
	if kind != sqliteInterior && kind != sqliteLeaf || pointers+2*cells > w.file.usable {
		return errSQLite
	}
	for i := range cells {
		cell := int(binary.BigEndian.Uint16(page[pointers+2*i:]))
		if cell < pointers || cell+4 > w.file.usable {
			return errSQLite
		}
		if kind == sqliteInterior {
			err = w.page(binary.BigEndian.Uint32(page[cell:]))
		} else {
			err = w.leaf(page[:w.file.usable], cell)
		}
		if err != nil {
			return err
		}
	}
	if kind == sqliteInterior {
		return w.page(binary.BigEndian.Uint32(page[at+8:]))
	}
	return nil
}

// leaf reads a row, whose end may lie on overflow pages.
func (w *sqliteWalk) leaf(page []byte, cell int) error {
	size, n := sqliteVarint(page[cell:])
	_, m := sqliteVarint(page[min(cell+n, len(page)):])
	if n == 0 || m == 0 || size > uint64(len(w.file.data)) || len(w.rows) >= maxRows {
		return errSQLite
	}
	start, total, usable := cell+n+m, int(size), w.file.usable
	local := total
	if most := usable - 35; total > most {
		least := (usable-12)*32/255 - 23
		if local = least + (total-least)%(usable-4); local > most {
			local = least
		}
	}
	if start+local > usable {
		return errSQLite
	}
	payload := bytes.Clone(page[start : start+local])
	if local < total {
		if start+local+4 > usable {
			return errSQLite
		}
		var err error
		if payload, err = w.overflow(payload, binary.BigEndian.Uint32(page[start+local:]), total); err != nil {
			return err
		}
	}
	row, err := w.file.record(payload, w.columns)
	w.rows = append(w.rows, row)
	return err
}

func (w *sqliteWalk) overflow(payload []byte, next uint32, total int) ([]byte, error) {
	for len(payload) < total {
		if w.seen[next] {
			return nil, errSQLite
		}
		w.seen[next] = true
		page, err := w.file.page(next)
		if err != nil {
			return nil, err
		}
		payload = append(payload, page[4:min(w.file.usable, 4+total-len(payload))]...)
		next = binary.BigEndian.Uint32(page)
	}
	return payload, nil
}

// record reads the values of a row (section 2.1).
func (s *sqliteFile) record(b []byte, columns []string) (sqliteRow, error) {
	size, n := sqliteVarint(b)
	if n == 0 || size < uint64(n) || size > uint64(len(b)) {
		return nil, errSQLite
	}
	types, body := b[n:size], b[size:]
	row := sqliteRow{}
	for i := 0; len(types) > 0; i++ {
		kind, n := sqliteVarint(types)
		if n == 0 {
			return nil, errSQLite
		}
		types = types[n:]
		width := sqliteWidth(kind)
		if width > uint64(len(body)) {
			return nil, errSQLite
		}
		if i < len(columns) {
			if text, ok := s.value(kind, body[:width]); ok {
				row[columns[i]] = text
			}
		}
		body = body[width:]
	}
	return row, nil
}

func sqliteWidth(kind uint64) uint64 {
	switch {
	case kind <= 4:
		return kind
	case kind == 5:
		return 6
	case kind == 6, kind == 7:
		return 8
	case kind >= 12:
		return (kind - 12) / 2
	}
	return 0
}

// value is a value as text; NULL is none.
func (s *sqliteFile) value(kind uint64, b []byte) (string, bool) {
	switch {
	case kind == 0:
		return "", false
	case kind == 8, kind == 9:
		return strconv.FormatUint(kind-8, 10), true
	case kind == 7:
		return strconv.FormatFloat(math.Float64frombits(binary.BigEndian.Uint64(b)), 'g', -1, 64), true
	case kind < 7:
		v := int64(int8(b[0]))
		for _, c := range b[1:] {
			v = v<<8 | int64(c)
		}
		return strconv.FormatInt(v, 10), true
	case kind%2 == 1 && s.encoding != 1:
		return s.wide(b), true
	}
	return string(b), true
}

// wide decodes UTF-16 of the database's byte order.
func (s *sqliteFile) wide(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		if units[i] = binary.LittleEndian.Uint16(b[2*i:]); s.encoding == 3 {
			units[i] = binary.BigEndian.Uint16(b[2*i:])
		}
	}
	return string(utf16.Decode(units))
}

// sqliteVarint is a number of up to nine bytes, the highest first; n is 0 where b
// ends before it does.
func sqliteVarint(b []byte) (v uint64, n int) {
	for n < len(b) && n < 9 {
		c := b[n]
		n++
		if n == 9 {
			return v<<8 | uint64(c), n
		}
		if v = v<<7 | uint64(c&0x7f); c < 0x80 {
			return v, n
		}
	}
	return 0, 0
}

// sqlColumns are the names of the columns in a CREATE TABLE statement, in order,
// in lower case.
func sqlColumns(sql string) []string {
	open, end := strings.Index(sql, "("), strings.LastIndex(sql, ")")
	if open < 0 || end < open {
		return nil
	}
	var out []string
	for _, part := range sqlParts(sql[open+1 : end]) {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		var name string
		if quote := strings.IndexByte("\"`'[", part[0]); quote >= 0 {
			name, _, _ = strings.Cut(part[1:], string("\"`']"[quote]))
		} else {
			name = strings.FieldsFunc(part, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '(' })[0]
			switch strings.ToUpper(name) {
			case "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "CONSTRAINT":
				continue
			}
		}
		out = append(out, strings.ToLower(name))
	}
	return out
}

// sqlParts splits at the commas that are neither in parentheses nor quoted.
func sqlParts(s string) []string {
	var out []string
	depth, from := 0, 0
	var quote byte
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '`' || c == '\'':
			quote = c
		case c == '[':
			quote = ']'
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			out = append(out, s[from:i])
			from = i + 1
		}
	}
	return append(out, s[from:])
}
