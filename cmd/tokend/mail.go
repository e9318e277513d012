package main

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/tokenbridge/tokend/daemon/authority/mail"
)

// How TLS begins with the mail server.
const (
	mailStartTLS = "starttls"
	mailTLS      = "tls"
)

// mailCredential is the systemd credential with the password for the mail server.
const mailCredential = "tokend-mail-password"

// mailExample stands for a server whose address cannot be used, to look at the rest.
const mailExample = "mail.example.org:587"

// errNoCredential is that systemd gave this process no credentials. A shell has none.
var errNoCredential = errors.New("systemd gave none")

// errExposed is that a secret is not its owner's alone.
var errExposed = errors.New("others may read or write it")

// mailSettings is what is said to fail where no letter can be sent.
const mailSettings = "mail"

// mailPassword is the setting of the file with the password.
const mailPassword = "mail.password_file"

// maxPassword is how large the file of that password may be, in bytes.
const maxPassword = 1 << 10

type mailServer struct {
	Server       string `toml:"server" doc:"Its host:port, such as mail.example.org:587. Absent: no links are sent."`
	From         string `toml:"from" doc:"The sender: an address, or NAME <ADDRESS>."`
	TLS          string `toml:"tls" doc:"starttls (port 587), without which nothing is sent; or tls, from the first byte (port 465)."`
	CAFile       string `toml:"ca_file" doc:"The absolute path of a PEM file with the certificate authorities that are believed.\nAbsent: the system's."`
	User         string `toml:"user" doc:"Whom the server knows. Absent: it asks for nobody."`
	PasswordFile string `toml:"password_file" doc:"The absolute path of the file with his password, of mode 0600. Absent: the systemd\ncredential tokend-mail-password."`
	Template     string `toml:"template" doc:"The absolute path of a file with the text of the letters (docs/authority.md). Absent: a\ntext in English."`
}

func (m mailServer) check() error {
	var all []error
	if m.TLS != mailStartTLS && m.TLS != mailTLS {
		all = append(all, fmt.Errorf("mail.tls must be starttls or tls, not %q: without TLS no link is sent", m.TLS))
	}
	for name, path := range map[string]string{"ca_file": m.CAFile, "password_file": m.PasswordFile, "template": m.Template} {
		if path != "" && !filepath.IsAbs(path) {
			all = append(all, fmt.Errorf("mail.%s must be an absolute path", name))
		}
	}
	at := m.Server
	if m == (mailServer{TLS: m.TLS}) {
		return errors.Join(all...)
	}
	if at == "" {
		all, at = append(all, errors.New("mail.server is missing")), mailExample
	} else if host, _, err := splitAddress("mail.server", m.Server, usualMailPort); err != nil {
		all, at = append(all, err), mailExample
	} else if host == "" {
		all, at = append(all, fmt.Errorf("mail.server must be host:port, not %q", m.Server)), mailExample
	}
	if m.PasswordFile != "" && m.User == "" {
		all = append(all, remedied{error: errors.New("mail.password_file is for mail.user alone"), fix: "write user = \"it@example.org\", too, with the name that the server knows", needs: "mail.user"})
	}
	if _, err := mail.New(mail.Config{Server: at, From: m.From}); err != nil {
		all = append(all, fmt.Errorf("mail.from: %w", err))
	}
	return errors.Join(all...)
}

// sender is what sends links; nil where no server is set up. It reads the files
// that are named, but for the password, which is read for each letter.
func (m mailServer) sender(credentials string) (*mail.Sender, error) {
	if m.Server == "" {
		return nil, nil
	}
	c := mail.Config{Server: m.Server, From: m.From, User: m.User, Implicit: m.TLS == mailTLS}
	var err error
	if c.Roots, err = m.roots(); err != nil {
		return nil, err
	}
	if c.Template, err = m.letter(); err != nil {
		return nil, err
	}
	if c.Password, err = m.password(credentials); err != nil {
		return nil, err
	}
	return mail.New(c)
}

// files is all that is wrong with the files that are named.
func (m mailServer) files(credentials string) []error {
	_, roots := m.roots()
	_, letter := m.letter()
	_, password := m.password(credentials)
	return each(errors.Join(roots, letter, password))
}

// roots are the certificate authorities that are believed; nil for the system's.
func (m mailServer) roots() (*x509.CertPool, error) {
	if m.CAFile == "" {
		return nil, nil
	}
	text, err := readAtMost(m.CAFile, maxRootsFile)
	if err != nil {
		return nil, remedied{error: fmt.Errorf("cannot read mail.ca_file: %w", err), setting: "mail.ca_file", fix: fixFile(m.CAFile, err)}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, remedied{error: fmt.Errorf("mail.ca_file: no certificate is in %s", m.CAFile), setting: "mail.ca_file", fix: "put the certificates (PEM) into " + m.CAFile}
	}
	return pool, nil
}

// letter is the text of the letters; nil for that in English.
func (m mailServer) letter() (*mail.Template, error) {
	if m.Template == "" {
		return nil, nil
	}
	var t *mail.Template
	text, err := readAtMost(m.Template, mail.MaxTemplate)
	if err == nil {
		t, err = mail.ParseTemplate(string(text))
	}
	if err != nil {
		return nil, remedied{error: fmt.Errorf("cannot use mail.template %s: %w", m.Template, err), setting: "mail.template", fix: fixFile(m.Template, err)}
	}
	return t, nil
}

// password reads the password anew for each letter; nil where none is needed. It was
// read once, to see whether it can be.
func (m mailServer) password(credentials string) (func() ([]byte, error), error) {
	if m.User == "" {
		return nil, nil
	}
	path := m.PasswordFile
	if path == "" {
		if credentials == "" {
			return nil, remedied{error: fmt.Errorf("mail.password_file is missing, and there is no credential %s: %w", mailCredential, errNoCredential)}
		}
		path = filepath.Join(credentials, mailCredential)
	}
	read := func() ([]byte, error) { return readPassword(path, m.PasswordFile != "") }
	password, err := read()
	clear(password)
	if err != nil {
		return nil, remedied{error: err, setting: mailPassword, fix: fixSecret(path, err)}
	}
	return read, nil
}

// readPassword reads the password for the mail server: the first line of the file,
// which nobody else may read. Credentials are guarded by who made them.
func readPassword(path string, own bool) ([]byte, error) {
	if own && runtime.GOOS != "windows" {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read the password for the mail server: %w", err)
		}
		if mode := info.Mode(); mode.IsRegular() && mode.Perm()&0o077 != 0 {
			return nil, fmt.Errorf("cannot use %s: its mode is %v, and %w", path, mode, errExposed)
		}
	}
	text, err := readAtMost(path, maxPassword)
	if err != nil {
		return nil, fmt.Errorf("cannot read the password for the mail server: %w", err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 || bytes.IndexByte(line, 0) >= 0 {
		return nil, fmt.Errorf("no password for the mail server is in %s", path)
	}
	return line, nil
}

// readAtMost reads a whole file of at most so many bytes, a multiple of 1,024.
func readAtMost(path string, most int64) ([]byte, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s is larger than %d KiB", path, most>>10)
	}
	return text, err
}
