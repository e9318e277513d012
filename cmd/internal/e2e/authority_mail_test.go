//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"mime/quotedprintable"
	netmail "net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/tokens/tokentest/smtprig"
)

// TestLinkByMail: an administrator whose device is gone is helped by an owner, who
// has the daemon send the link. It works on the administrator's new device, and is
// nowhere else.
func TestLinkByMail(t *testing.T) {
	t.Parallel()
	srv, err := smtprig.Start(smtprig.Options{User: "tokend", Password: "swordfish"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	letter := "Subject: {{.Authority}}: {{.Account}}\n\nHallo {{.Name}},\n{{.Link}}\nbis {{.Expires}}\n"
	config := File(t, fmt.Sprintf("[mail]\nserver = %q\nfrom = \"Example Ltd <it@example.org>\"\nuser = \"tokend\"\npassword_file = %q\nca_file = %q\ntemplate = %q\n",
		srv.Addr, File(t, "swordfish\n"), File(t, string(srv.CA)), File(t, letter)))
	d := NewDaemon(t, programs(t), nil, "--config", config)
	d.Start()
	d.OK("", "admin", "authority", "create", "Example Ltd")
	d.OK("", "admin", "user", "add", "erna", "--display", "Erna Müller", "--role", "admin")
	create := []string{"admin", "activation", "create", "erna", "--account", "vpn", "--mail"}
	d.Fails(2, "", create, "the user has no e-mail address", "tokenctl admin user edit erna --email ADDRESS")
	d.OK("", "admin", "user", "edit", "erna", "--email", "erna@example.org")
	d.Fails(2, "", append(create, "--qr", filepath.Join(t.TempDir(), "x.png")), "mail", "qr")

	srv.Misbehave(smtprig.Faults{Answers: map[string]string{"RCPT": "550 5.1.1 erna@example.org is unknown"}})
	d.Fails(23, "", create, "made useless", "answer 550", "--qr FILE")
	srv.Misbehave(smtprig.Faults{NoSTARTTLS: true})
	d.Fails(23, "", create, "offers no STARTTLS", "ca_file")
	srv.Misbehave(smtprig.Faults{})
	if list := d.OK("", "admin", "activation", "list", "erna").Stdout; strings.Count(list, "revoked") != 2 || strings.Contains(list, "open") {
		t.Errorf("%s", list)
	}
	if n := len(srv.Letters()); n != 0 {
		t.Fatalf("%d letters", n)
	}

	said := d.OK("", create...)
	if strings.TrimSpace(said.Stdout) != "erna@example.org" || !strings.Contains(said.Stderr, "nobody here has seen the link") {
		t.Errorf("%s", said)
	}
	link := mailedLink(t, srv)
	device := NewDaemon(t, programs(t), nil)
	device.Start()
	device.OK("a long passphrase of erna", "init", "--token", "soft", "--pin-file", "-", "--no-recovery-password")
	device.OK("", "activate", "--link-file", File(t, link), "--name", "notebook")
	device.OK("", "code", "vpn")

	// Used, it is good on no other device.
	other := NewDaemon(t, programs(t), nil)
	other.Start()
	other.OK("a long passphrase of eve", "init", "--token", "soft", "--pin-file", "-", "--no-recovery-password")
	other.Fails(19, "", []string{"activate", "--link-file", File(t, link), "--name", "eve"})

	secret := link[len(link)-24:]
	audit := d.OK("", "admin", "audit", "list").Stdout
	for what, text := range map[string]string{"the answer": said.Stdout + said.Stderr, "the log": d.Log(), "the audit": audit} {
		if strings.Contains(text, secret) || strings.Contains(text, "swordfish") {
			t.Errorf("%s has the link, or the password", what)
		}
	}
	if out, err := exec.Command("grep", "-rlaF", "-e", secret, "-e", "swordfish", d.State).CombinedOutput(); err == nil {
		t.Errorf("the state folder has it: %s", out)
	}
	if !strings.Contains(audit, "activation-mail") || strings.Contains(audit, "erna") {
		t.Errorf("the audit: %s", audit)
	}
}

// mailedLink is the link in the last letter, as a mail program shows it.
func mailedLink(t testing.TB, srv *smtprig.Server) string {
	t.Helper()
	all := srv.Letters()
	if len(all) == 0 || !all[len(all)-1].TLS {
		t.Fatalf("%d letters, or one without TLS", len(all))
	}
	m, err := netmail.ReadMessage(bytes.NewReader(all[len(all)-1].Text))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`tokend-activate:\S+`).FindString(string(body))
	if link == "" {
		t.Fatalf("no link in %s", body)
	}
	return link
}

// TestMailConfigIsChecked: what is wrong with [mail] is said by "config check", and
// keeps nobody from the rest.
func TestMailConfigIsChecked(t *testing.T) {
	t.Parallel()
	config := File(t, fmt.Sprintf("[mail]\nserver = \"mail.example.org:587\"\nfrom = \"it@example.org\"\ntemplate = %q\n", File(t, "Subject: x\n\nHello\n")))
	p := programs(t)
	cmd := exec.Command(p.Path("tokend"), "config", "check", "--strict", "--config", config)
	cmd.Env = append(os.Environ(), p.Env()...)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "does not have the link") {
		t.Errorf("%v: %s", err, out)
	}
	d := NewDaemon(t, p, nil, "--config", config)
	d.Start()
	d.OK("", "admin", "authority", "create", "Example Ltd")
	d.OK("", "admin", "user", "add", "alice", "--email", "alice@example.org")
	d.Fails(2, "", []string{"admin", "activation", "create", "alice", "--account", "vpn", "--mail"}, "cannot be used", "does not have the link")
	if out := d.Ctl("", "doctor"); !strings.Contains(out.Stdout, "cannot send links by e-mail") {
		t.Errorf("%s", out)
	}
}
