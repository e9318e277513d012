package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestMailFiles: what is wrong with the files that [mail] names is said at the
// start, and no error has the password.
func TestMailFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	base := mailServer{Server: "mail.example.org:587", From: "it@example.org", TLS: mailStartTLS}
	with := func(change func(*mailServer)) mailServer {
		m := base
		change(&m)
		return m
	}
	for name, c := range map[string]struct {
		m    mailServer
		want string // "" is no error
	}{
		"nothing":     {mailServer{TLS: mailStartTLS}, ""},
		"plain":       {base, ""},
		"a password":  {with(func(m *mailServer) { m.User, m.PasswordFile = "u", file("ok", "swordfish\n", 0o600) }), ""},
		"credential":  {with(func(m *mailServer) { m.User = "u"; file(mailCredential, "swordfish", 0o444) }), ""},
		"no password": {with(func(m *mailServer) { m.User, m.PasswordFile = "u", filepath.Join(dir, "none") }), "cannot read the password"},
		"empty":       {with(func(m *mailServer) { m.User, m.PasswordFile = "u", file("empty", "\nswordfish", 0o600) }), "no password for the mail server"},
		"too long": {with(func(m *mailServer) {
			m.User, m.PasswordFile = "u", file("long", strings.Repeat("swordfish", 200), 0o600)
		}), "larger than"},
		"no CA":       {with(func(m *mailServer) { m.CAFile = file("ca", "swordfish", 0o644) }), "no certificate"},
		"no template": {with(func(m *mailServer) { m.Template = file("letter", "Subject: x\n\nHello", 0o644) }), "does not have the link"},
	} {
		_, err := c.m.sender(dir)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "swordfish") {
			t.Errorf("%s tells the password: %v", name, err)
		}
	}
	if runtime.GOOS != "windows" {
		if _, err := with(func(m *mailServer) { m.User, m.PasswordFile = "u", file("open", "swordfish\n", 0o644) }).sender(dir); err == nil {
			t.Error("a password that everybody may read is taken")
		}
	}
	if _, err := with(func(m *mailServer) { m.User = "u" }).sender(""); err == nil {
		t.Error("no password at all is taken")
	}
}
