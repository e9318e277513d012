package seeds

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// rows hands each row of a table, and the line it begins in, to each. Lines of
// nothing and comments are left out. The fields are without white space around them,
// and are the callee's only until it returns.
func rows(ctx context.Context, f *file, c *collector, each func(line int, fields []string) error) error {
	if f.comma == 0 || f.comma == ' ' {
		return words(ctx, f, each)
	}
	r := csv.NewReader(bytes.NewReader(f.text))
	r.Comma, r.FieldsPerRecord, r.ReuseRecord = rune(f.comma), -1, true
	r.TrimLeadingSpace = f.comma != '\t'
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err != nil {
			if err := brokenRow(r, f, c, err); err != nil {
				return err
			}
			continue
		}
		line, _ := r.FieldPos(0)
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if !said(fields) {
			continue
		}
		if err := each(line, fields); err != nil {
			return err
		}
	}
}

// said says whether a row is more than a comment or nothing.
func said(fields []string) bool {
	switch first := fields[0]; {
	case strings.HasPrefix(first, "#"), strings.EqualFold(first, "sep="):
		return false
	case first != "":
		return true
	}
	return slices.ContainsFunc(fields, func(s string) bool { return s != "" })
}

// brokenRow skips a row with broken quotation marks, unless they swallow the rest of
// the file.
func brokenRow(r *csv.Reader, f *file, c *collector, err error) error {
	var broken *csv.ParseError
	if !errors.As(err, &broken) {
		return fmt.Errorf("cannot read the table: %w", err)
	}
	if r.InputOffset() >= int64(len(f.text)) && broken.Line > broken.StartLine {
		return problem(Damaged, c.format, "a quotation mark of line %d is not closed", broken.StartLine)
	}
	return c.skip(broken.StartLine, "", faulty("", "its quotation marks are broken"))
}

// words is rows where white space separates the fields.
func words(ctx context.Context, f *file, each func(line int, fields []string) error) error {
	rest := f.text
	for n := 1; len(rest) > 0; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		var l []byte
		l, rest, _ = bytes.Cut(rest, []byte("\n"))
		if fields := strings.Fields(string(l)); len(fields) > 0 && said(fields) {
			if err := each(n, fields); err != nil {
				return err
			}
		}
	}
	return nil
}

// sampled is the first rows, to know a format by.
func (f *file) sampled() [][]string {
	var out [][]string
	for _, l := range f.first {
		var fields []string
		if f.comma == 0 || f.comma == ' ' {
			fields = strings.Fields(l)
		} else {
			for field := range strings.SplitSeq(l, string(f.comma)) {
				fields = append(fields, strings.Trim(strings.TrimSpace(field), `"`))
			}
		}
		out = append(out, fields)
	}
	return out
}

// most says whether more than half of the first rows pass, and at least one.
func (f *file) most(pass func(fields []string) bool) bool {
	n, all := 0, f.sampled()
	for _, fields := range all {
		if pass(fields) {
			n++
		}
	}
	return n > 0 && 2*n > len(all)
}

// at is a field, or nothing.
func at(fields []string, i int) string {
	if i < 0 || i >= len(fields) {
		return ""
	}
	return fields[i]
}
