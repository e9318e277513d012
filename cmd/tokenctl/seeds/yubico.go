package seeds

import (
	"context"
	"encoding/hex"
	"strings"
)

// yubicoLog is what the YubiKey Personalization Tool logs of each key that it
// programs, in its traditional format.
type yubicoLog struct{}

// Name implements format.
func (yubicoLog) Name() string { return "log of the YubiKey Personalization Tool" }

// The columns of the log that matter.
const (
	logKind = iota
	_
	_
	logPublicID
	logPrivateID
	logKey
)

// logged says what a row of the log is about; empty where it is none.
func logged(fields []string) string {
	switch kind := strings.ToLower(at(fields, logKind)); {
	case kind == "yubico otp", kind == "oath-hotp", kind == "logging start":
		return kind
	case strings.HasPrefix(kind, "static password"):
		return "static password"
	case strings.HasPrefix(kind, "challenge-response"):
		return "challenge-response"
	}
	return ""
}

// Detect implements format.
func (yubicoLog) Detect(f *file) confidence {
	if f.most(func(fields []string) bool { return logged(fields) != "" }) {
		return sure
	}
	return no
}

// Read implements format.
func (g yubicoLog) Read(ctx context.Context, f *file, c *collector) error {
	return rows(ctx, f, c, func(line int, fields []string) error { return g.row(c, line, fields) })
}

func (yubicoLog) row(c *collector, line int, fields []string) error {
	public := at(fields, logPublicID)
	switch logged(fields) {
	case "logging start":
		return nil
	case "static password":
		return c.skip(line, "", faulty("", "it is a static password, which is no passcode"))
	case "challenge-response":
		return c.skip(line, public, faulty("", "it is for challenge and response, which makes no passcodes that can be verified here"))
	case "yubico otp":
		return addYubicoOTP(c, line, public, public, at(fields, logPrivateID), at(fields, logKey))
	case "oath-hotp":
		// An id of zeros is the tool's way to say that there is none.
		if strings.Trim(public, modhex[:1]) == "" {
			return c.skip(line, "", faulty("serial", "the log has neither a serial number nor an id of it, so nothing tells which key it is; a table with serial numbers can be read"))
		}
		return c.skip(line, public, prefixed())
	}
	return c.skip(line, "", faulty("", "it is none of the kinds of rows that this log has"))
}

// addYubicoOTP adds a row of Yubico OTP. Where there is no serial number, the public
// id, which every passcode begins with, is as good.
func addYubicoOTP(c *collector, line int, serial, public, private, key string) error {
	e := &entry{line: line, serial: serial, kind: TypeYubico, maker: "Yubico"}
	var wrong *fault
	var good bool
	switch {
	case public == "" && private == "":
		wrong = faulty("public id", "it has neither a public nor a private id: the same is written for challenge and response")
	case public == "":
		wrong = faulty("public id", "it has no public id, by which its passcodes are told from others")
	default:
		if e.publicID, good = fromModhex(public); !good {
			wrong = faulty("public id", "its public id is not modhex")
		}
	}
	if wrong == nil {
		var err error
		if e.privateID, err = hex.DecodeString(private); err != nil {
			wrong = faulty("private id", "its private id is not hex")
		}
	}
	if wrong == nil {
		e.secret, wrong = fromHex(key)
	}
	if wrong != nil {
		e.wipe()
		return c.skip(line, serial, wrong)
	}
	return c.add(e)
}

// prefixed refuses OATH-HOTP with a public id.
func prefixed() *fault {
	return faulty("public id", "its passcodes of HOTP begin with a public id, which is not supported")
}

// yubicoCSV is the other format of the Personalization Tool, which programming
// centres use: serial, public id, private id, key, access code, time. The private id
// is 0 for OATH-HOTP, and empty for static passwords.
type yubicoCSV struct{}

// Name implements format.
func (yubicoCSV) Name() string { return "Yubico CSV" }

// Detect implements format.
func (yubicoCSV) Detect(f *file) confidence {
	if f.comma == ',' && f.most(isYubicoRow) {
		return sure
	}
	return no
}

func isYubicoRow(fields []string) bool {
	const least = 5
	if len(fields) < least || strings.Trim(fields[0], "0123456789") != "" {
		return false
	}
	public, private, key := fields[1], fields[2], fields[3]
	_, isModhex := fromModhex(public)
	id, err := hex.DecodeString(private)
	isHex, _ := couldBe(key)
	return (public == "" || isModhex) && (private == "" || private == "0" || err == nil && len(id) == yubicoID) &&
		isHex && (len(key) == 2*yubicoSecret || len(key) == 40) && (public != "" || private == "" || private == "0")
}

// Read implements format.
func (yubicoCSV) Read(ctx context.Context, f *file, c *collector) error {
	return rows(ctx, f, c, func(line int, fields []string) error {
		serial, public, private, key := at(fields, 0), at(fields, 1), at(fields, 2), at(fields, 3)
		switch {
		case !isYubicoRow(fields):
			return c.skip(line, serial, faulty("", "it is no row of serial number, public id, private id and key"))
		case private == "":
			return c.skip(line, serial, faulty("private id", "it is a static password or for challenge and response, which is no passcode"))
		case private == "0" && public != "":
			return c.skip(line, serial, prefixed())
		case private == "0":
			return addYubicoHOTP(c, line, serial, key)
		case serial == "":
			serial = public
		}
		return addYubicoOTP(c, line, serial, public, private, key)
	})
}

// addYubicoHOTP adds a row of OATH-HOTP.
func addYubicoHOTP(c *collector, line int, serial, key string) error {
	e := &entry{line: line, serial: serial, kind: TypeHOTP, maker: "Yubico"}
	e.warn("the file tells neither its number of digits nor its counter")
	var wrong *fault
	if e.secret, wrong = fromHex(key); wrong != nil {
		return c.skip(line, serial, wrong)
	}
	return c.add(e)
}
