package main

import (
	"cmp"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"time"
)

// examples are values of settings whose default shows nothing, as the file has them on
// a system (GOOS).
func examples(system string) map[string]string {
	list := map[string]string{
		"state_dir": `"/var/lib/tokend"`, "socket": `"/run/tokend/tokend.sock"`, "helper": `"/usr/libexec/tokend/tokend-helper"`, "helper_sockets": `"/run/tokend-helper"`,
		"bus": `"session"`, "tokens.users": `["alice"]`, "tokens.fido2_devices": `["/dev/hidraw3"]`, "tokens.attestation_roots": `"/etc/tokend/roots.pem"`,
		"authority.key_file": `"/etc/tokend/authority.key"`, "authority.listen": `"192.0.2.1:7443"`, "authority.address": `"otp.example.org:7443"`,
		"mail.server": `"mail.example.org:587"`, "mail.from": `"IT <it@example.org>"`, "mail.ca_file": `"/etc/tokend/mail-ca.pem"`, "mail.user": `"it@example.org"`,
		"mail.password_file": `"/etc/tokend/mail-password"`, "mail.template": `"/etc/tokend/letter.txt"`, "metrics.textfile": `"/var/lib/prometheus/node-exporter/tokend.prom"`,
	}
	if system != "windows" {
		return list
	}
	for name, value := range list {
		if path, is := strings.CutPrefix(value, `"/etc/tokend/`); is {
			list[name] = `'C:\ProgramData\tokend\` + strings.TrimSuffix(path, `"`) + "'"
		}
	}
	list["state_dir"], list["socket"], list["helper"], list["helper_sockets"] = `'C:\ProgramData\tokend'`, `'\\.\pipe\tokend'`, `'C:\Program Files\tokend\tokend-helper.exe'`, `"none"`
	list["bus"], list["tokens.fido2_devices"] = `"none"`, "[]"
	list["metrics.textfile"] = `'C:\Program Files\windows_exporter\textfile_inputs\tokend.prom'`
	return list
}

// key is its name within its table.
func (s setting) key() string { return s.name[strings.LastIndexByte(s.name, '.')+1:] }

// table is the table it belongs to; empty for none.
func (s setting) table() string { return s.name[:max(0, strings.LastIndexByte(s.name, '.'))] }

// example is a value that it can have, as the file has it; s has the default.
func (s setting) example() string { return cmp.Or(examples(runtime.GOOS)[s.name], s.text()) }

// remedy is what to write when its value cannot be used; s has the default.
func (s setting) remedy() string {
	if _, is := s.value.Interface().(bool); is {
		return "write " + s.key() + " = true or " + s.key() + " = false"
	}
	line := "write " + s.key() + " = " + s.example() + ", with what is yours in its place"
	if s.value.IsZero() || reflect.DeepEqual(s.value.Interface(), []string{}) {
		return line
	}
	return line + "; this is the default"
}

// takes is what it takes, in words.
func (s setting) takes() string {
	switch s.value.Interface().(type) {
	case bool:
		return "true or false"
	case duration:
		return "a time"
	case []string:
		return "a list of texts"
	}
	return "a text"
}

// fits says whether it can have a value that was decoded.
func (s setting) fits(v any) bool {
	switch s.value.Interface().(type) {
	case bool:
		_, is := v.(bool)
		return is
	case duration:
		switch v := v.(type) {
		case string:
			return new(duration).UnmarshalText([]byte(v)) == nil
		case int64: // never and at once need no unit
			return v == 0
		}
		return false
	case []string:
		list, is := v.([]any)
		for _, one := range list {
			if _, text := one.(string); !text {
				return false
			}
		}
		return is
	}
	_, is := v.(string)
	return is
}

// mistyped is what is wrong with a value that does not fit.
func (s setting) mistyped(v any) problem {
	such := ", such as " + s.example()
	quote := true // no secret is a time, or a yes or no
	switch s.value.Interface().(type) {
	case bool:
		such = ""
	case string, []string:
		quote = false
	}
	return problem{Level: levelError, Setting: s.name, Fix: s.remedy(), Message: fmt.Sprintf("%s takes %s%s, and this is %s", s.name, s.takes(), such, valueText(v, quote))}
}

// valueText is a decoded value in words, itself among them where it can be told.
func valueText(v any, quote bool) string {
	var kind string
	switch v := v.(type) {
	case string:
		if kind = "a text"; quote && len(v) <= maxQuoted {
			return fmt.Sprintf("the text %q", v)
		}
	case int64, float64:
		if kind = "a number"; quote {
			return fmt.Sprintf("the number %v", v)
		}
	case bool:
		return fmt.Sprint(v)
	case time.Time:
		kind = "a date or time of day"
	case []any:
		if kind = "a list"; !quote {
			for _, one := range v {
				if _, is := one.(string); !is {
					return "a list with " + valueText(one, false)
				}
			}
		}
	default:
		kind = "a table"
	}
	return kind
}

// maxQuoted is the longest text that is quoted to say what is wrong with it.
const maxQuoted = 60
