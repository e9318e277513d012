package desk_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"mime/quotedprintable"
	netmail "net/mail"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/desk"
	"github.com/tokenbridge/tokend/daemon/authority/mail"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/tokentest/smtprig"
)

// post is a desk with a mail server, and users who have addresses.
func post(t *testing.T) (*bench, *smtprig.Server, *bytes.Buffer) {
	t.Helper()
	srv, err := smtprig.Start(smtprig.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	sender, err := mail.New(mail.Config{Server: srv.Addr, From: "help@example.org", Roots: srv.Roots})
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	b := furnished(t, func(c *desk.Config) { c.Mail, c.Log = sender, slog.New(slog.NewTextHandler(log, nil)) })
	for _, name := range []string{"bob", "admin", "owner", "helpdesk"} {
		address := name + "@example.org"
		if _, err := b.EditUser(t.Context(), root, name, ipc.EditUserRequest{Email: &address}); err != nil {
			t.Fatal(err)
		}
	}
	return b, srv, log
}

// linkIn is the link in a letter.
func linkIn(t *testing.T, l smtprig.Letter) ipc.Secret {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(l.Text))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^tokend-activate:\S+`).Find(body)
	if found == nil {
		t.Fatalf("no link in %s", body)
	}
	return ipc.Secret(found)
}

// entries are the audit's of one kind.
func (b *bench) entries(t *testing.T, action string) (out []ipc.AuditEntry) {
	t.Helper()
	page, err := b.AuthorityAudit(t.Context(), root, ipc.AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Entries {
		if e.Action == action {
			out = append(out, e)
		}
	}
	return out
}

// TestLinkByMail: the user has the link, the helper has not, nor has the log or
// the audit; and the link is good.
func TestLinkByMail(t *testing.T) {
	b, srv, log := post(t)
	made, err := b.CreateActivation(t.Context(), as("helpdesk"), ipc.NewActivation{User: "bob", Account: "vpn", Mail: true})
	if err != nil || len(made.Link) != 0 || made.MailedTo != "bob@example.org" || made.Activation.State != ipc.CodeOpen {
		t.Fatalf("%+v, %v", made, err)
	}
	letters := srv.Letters()
	if len(letters) != 1 || letters[0].To != "bob@example.org" || !letters[0].TLS {
		t.Fatalf("%+v", letters)
	}
	link := linkIn(t, letters[0])
	newLaptop(t, b, as("stranger")).activate(link)
	sent := b.entries(t, "activation-mail")
	if len(sent) != 1 || !sent[0].OK || sent[0].By != b.ids["helpdesk"] || sent[0].Object != b.ids["bob"] || !strings.Contains(sent[0].Detail, made.Activation.ID) {
		t.Errorf("%+v", sent)
	}
	b.tellsNothing(t, log, string(link))
}

// tellsNothing: neither log nor audit has the link, or an address.
func (b *bench) tellsNothing(t *testing.T, log *bytes.Buffer, link string) {
	t.Helper()
	page, err := b.AuthorityAudit(t.Context(), root, ipc.AuditQuery{})
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{log.String()}
	for _, e := range page.Entries {
		texts = append(texts, e.Detail, e.Object, e.By)
	}
	for _, text := range texts {
		if strings.Contains(text, "@example.org") || strings.Contains(text, "tokend-activate") || link != "" && strings.Contains(text, link[len(link)-24:]) {
			t.Errorf("it is told: %q", text)
		}
	}
}

// TestMailFails: a link that was not sent is useless, whoever has the letter.
func TestMailFails(t *testing.T) {
	for name, c := range map[string]struct {
		faults smtprig.Faults
		reason string
		has    string // what the message says
	}{
		"no STARTTLS":        {smtprig.Faults{NoSTARTTLS: true}, "no-tls", "offers no STARTTLS"},
		"550":                {smtprig.Faults{Answers: map[string]string{"RCPT": "550 <bob@example.org> is unknown"}}, "refused", "(answer 550)"},
		"cut in the middle":  {smtprig.Faults{Cut: []string{"DATA"}}, "broken", "ended too early"},
		"cut when it had it": {smtprig.Faults{Cut: []string{"."}}, "broken", "its link is useless"},
	} {
		t.Run(name, func(t *testing.T) {
			b, srv, log := post(t)
			srv.Misbehave(c.faults)
			made, err := b.CreateActivation(t.Context(), as("helpdesk"), ipc.NewActivation{User: "bob", Account: "vpn", Mail: true})
			var e *ipc.Error
			if !errors.As(err, &e) || e.Kind != ipc.MailFailed || e.Items[0].Reason != c.reason || !strings.Contains(e.Message, c.has) || len(made.Link) != 0 {
				t.Fatalf("%+v, %v", made, err)
			}
			list, err := b.Activations(t.Context(), as("helpdesk"), ipc.UserRef{User: "bob"})
			if err != nil || len(list.Activations) != 1 || list.Activations[0].State != ipc.CodeRevoked {
				t.Errorf("%+v, %v", list, err)
			}
			failed, revoked := b.entries(t, "activation-mail"), b.entries(t, "activation-revoke")
			if len(failed) != 1 || failed[0].OK || !strings.HasSuffix(failed[0].Detail, " "+c.reason) || len(revoked) != 1 {
				t.Errorf("%+v, %+v", failed, revoked)
			}
			b.tellsNothing(t, log, "")
			srv.Misbehave(smtprig.Faults{})
			if _, err := b.CreateActivation(t.Context(), as("helpdesk"), ipc.NewActivation{User: "bob", Account: "vpn", Mail: true}); err != nil {
				t.Errorf("then it is not sent either: %v", err)
			}
		})
	}
}

// TestNoMail: what is not allowed, or cannot be sent, makes no activation.
func TestNoMail(t *testing.T) {
	b, srv, _ := post(t)
	ctx := t.Context()
	odd := "bob@example.org, eve@example.org"
	if err := b.AddOlder(authority.User{Name: "odd", Email: odd}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		who, user string
		kind      ipc.Kind
	}{
		"no address":            {"helpdesk", "user", ipc.InvalidArgument},
		"two addresses":         {"helpdesk", "odd", ipc.InvalidArgument},
		"oneself":               {"owner", "owner", ipc.PolicyDenied},
		"an admin, to himself":  {"admin", "admin", ipc.PolicyDenied},
		"helpdesk for an admin": {"helpdesk", "admin", ipc.NotAuthorized},
		"admin for an owner":    {"admin", "owner", ipc.NotAuthorized},
		"helpdesk for helpdesk": {"helpdesk", "helpdesk", ipc.PolicyDenied},
		"a user for a user":     {"user", "bob", ipc.NotAuthorized},
	} {
		if _, err := b.CreateActivation(ctx, as(c.who), ipc.NewActivation{User: c.user, Account: "vpn", Mail: true}); ipc.KindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		}
		if list, err := b.Activations(ctx, root, ipc.UserRef{User: c.user}); err != nil || len(list.Activations) != 0 {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
	}
	if n := len(srv.Letters()); n != 0 {
		t.Errorf("%d letters", n)
	}
	none := furnished(t)
	if _, err := none.CreateActivation(ctx, root, ipc.NewActivation{User: "bob", Account: "vpn", Mail: true}); ipc.KindOf(err) != ipc.Unsupported {
		t.Errorf("without a server: %v", err)
	}
	broken := furnished(t, func(c *desk.Config) { c.MailProblem = "cannot read mail.ca_file" })
	if _, err := broken.CreateActivation(ctx, root, ipc.NewActivation{User: "bob", Account: "vpn", Mail: true}); ipc.KindOf(err) != ipc.Unsupported || !strings.Contains(err.Error(), "ca_file") {
		t.Errorf("with a broken one: %v", err)
	}
	if info, err := broken.Authority(ctx, root); err != nil || len(info.Warnings) != 1 || info.Warnings[0].Code != "authority-mail" {
		t.Errorf("%+v, %v", info.Warnings, err)
	}
}
