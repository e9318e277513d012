package seeds

import (
	"bytes"
	"context"
	"strconv"
	"strings"
)

// safeWord is the .dat file of SafeWord: records in the manner of LDIF, with empty
// lines between them.
type safeWord struct{}

// Name implements format.
func (safeWord) Name() string { return "SafeWord DAT" }

// Detect implements format.
func (safeWord) Detect(f *file) confidence {
	for _, l := range f.first {
		if name, _, is := strings.Cut(l, ":"); is && (name == "sccAuthenticatorId" || name == "sccTokenData") {
			return sure
		}
	}
	return no
}

// safeWordEpoch is from when on the clocks of SafeWord's fobs count: 2000-01-01, in
// seconds of Unix time.
const safeWordEpoch = 946684800

// record is the attributes of one fob.
type record struct {
	line   int // where it begins
	values map[string]string
}

// Read implements format.
func (w safeWord) Read(ctx context.Context, f *file, c *collector) error {
	rest, n := f.text, 0
	r := record{values: map[string]string{}}
	signed := false // so far, records had a signature, which comes last
	for len(rest) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		var l []byte
		l, rest, _ = bytes.Cut(rest, []byte("\n"))
		n++
		text := strings.TrimSpace(string(l))
		if text != "" && text[0] != '#' {
			if r.line == 0 {
				r.line = n
			}
			if !r.set(text) {
				if err := c.skip(n, "", faulty("", "the line is no attribute and its value")); err != nil {
					return err
				}
			}
		}
		if (text == "" || len(rest) == 0) && r.line > 0 {
			_, has := r.values["sccsignature"]
			if err := w.fob(r, c, signed && !has && n == f.end); err != nil {
				return err
			}
			signed = signed || has
			r = record{values: map[string]string{}}
		}
	}
	if c.fobs+c.skips > 0 {
		c.note("records of SafeWord are signed, and the signatures were not checked")
	}
	return nil
}

// set keeps an attribute, and says whether the line is one.
func (r *record) set(text string) bool {
	name, value, is := strings.Cut(text, ":")
	if is {
		r.values[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	return is
}

func (w safeWord) fob(r record, c *collector, cut bool) error {
	e := &entry{line: r.line, serial: r.values["sccauthenticatorid"], model: r.values["scctokentype"]}
	data := r.values["scctokendata"]
	if cut {
		return c.skip(r.line, e.serial, faulty("sccSignature", "the file ends in it without a line end, and unlike the others it has no signature: it may be cut short"))
	}
	if data == "" {
		return c.skip(r.line, e.serial, faulty("sccTokenData", "it has no seed"))
	}
	if wrong := w.data(e, data); wrong != nil {
		e.wipe()
		return c.skip(r.line, e.serial, wrong)
	}
	return c.add(e)
}

// data reads what SafeWord keeps of a fob: name=value, with semicolons between.
func (safeWord) data(e *entry, data string) (wrong *fault) {
	values := map[string]string{}
	for part := range strings.SplitSeq(data, ";") {
		name, value, _ := strings.Cut(part, "=")
		values[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	e.hash, e.digits = strings.TrimPrefix(strings.ToLower(values["crypto"]), "hmac"), parseNumber(values["sccpwlen"])
	if !e.digits.given {
		e.warn("the file does not tell its number of digits")
	}
	switch mode := strings.ToUpper(values["sccmode"]); mode {
	case "E":
		e.kind = TypeHOTP
		e.warn("the file does not tell its counter; 0 was taken")
	case "T":
		e.kind, e.period = TypeTOTP, parseNumber(values["scctick"])
		if wrong := countFrom2000(e); wrong != nil {
			return wrong
		}
	case "":
		return faulty("sccMode", "it does not tell whether it counts events or time")
	default:
		return faulty("sccMode", "its mode is %s; E and T are supported", clean(mode))
	}
	if e.secret, wrong = fromHex(values["scckey"]); wrong != nil {
		return wrong
	}
	return nil
}

// countFrom2000 makes the steps of Unix time of those of the fob's clock.
func countFrom2000(e *entry) *fault {
	if !e.period.given {
		e.period = num(usualPeriod)
		e.warn("the file does not tell its period; %d seconds were taken", usualPeriod)
	}
	period := e.period.value
	if e.period.bad || period < 1 || period > maxPeriod {
		return nil // the checks that follow say it better
	}
	if safeWordEpoch%period != 0 {
		return faulty("sccTick", "its clock counts from 2000-01-01 in steps of %d seconds, which do not fit Unix time", period)
	}
	e.drift = -int64(safeWordEpoch / period)
	e.warn("its clock counts from 2000-01-01, %s steps after Unix time", strconv.FormatInt(-e.drift, 10))
	return nil
}
