package mail

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	netmail "net/mail"
	"strings"
	"text/template"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds.
const (
	// MaxTemplate is how large a template may be, in bytes.
	MaxTemplate = 64 << 10
	maxLetter   = 256 << 10
	maxSubject  = 200 // characters
)

// Values are what a template can use.
type Values struct {
	Name      string    // of the user, for people; his name at the authority if he has none
	User      string    // his name at the authority
	Authority string    // its name
	Account   string    // which account the link is for
	Link      string    // the link
	Expires   time.Time // until when it is good
	// Waiting says that another person must approve before the link can be used.
	Waiting bool
	Contact string // whom people turn to; may be empty
	Portal  string // the address of a page for them; may be empty
}

// Template is what a letter says: a first line "Subject: …", an empty line, the
// text.
type Template struct{ t *template.Template }

// defaultTemplate is what a letter says where nobody said otherwise.
const defaultTemplate = `Subject: {{.Authority}}: your account {{.Account}} on a new device

Hello {{.Name}},

somebody who helps users of {{.Authority}} has made this link for you. It puts the
account "{{.Account}}" on the device on which you use it:

{{.Link}}

On that device, type

    tokenctl activate

and paste the link where it is asked for. The link is good once, for the first
device that uses it, until {{.Expires}}.
{{- if .Waiting}} It works
after a second person has approved it.{{end}}

Give the link to nobody, also not to somebody who says that he works for the help
desk: whoever uses it first has your account.

If you did not ask for it, do not use it, and tell us.
{{- if .Contact}}

{{.Contact}}{{end}}
{{- if .Portal}}
{{.Portal}}{{end}}
`

// ParseTemplate reads a template, and tries it.
func ParseTemplate(text string) (*Template, error) {
	if len(text) > MaxTemplate {
		return nil, fmt.Errorf("it is larger than %d bytes", MaxTemplate)
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("it is not UTF-8")
	}
	parsed, err := template.New("letter").Option("missingkey=error").Parse(strings.ReplaceAll(text, "\r\n", "\n"))
	if err != nil {
		return nil, fmt.Errorf("it is no template: %w", err)
	}
	t := &Template{parsed}
	const probe = "tokend-activate:PROBE"
	for _, waiting := range []bool{false, true} {
		subject, body, err := t.write(Values{Name: "Alice", User: "alice", Authority: "Example", Account: "vpn", Link: probe, Waiting: waiting,
			Expires: time.Unix(0, 0), Contact: "IT", Portal: "https://example.org"})
		switch {
		case err != nil:
			return nil, err
		case strings.Contains(subject, probe):
			return nil, errors.New("it puts the link into the subject, which mail programs show to bystanders")
		case !strings.Contains(body, probe):
			return nil, errors.New("it does not have the link: {{.Link}}")
		}
	}
	return t, nil
}

// bounded is a buffer that does not grow for ever.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxLetter {
		return 0, fmt.Errorf("the letter is larger than %d bytes", maxLetter)
	}
	return b.Buffer.Write(p)
}

// write makes subject and text.
func (t *Template) write(v Values) (subject, body string, err error) {
	for _, s := range []*string{&v.Name, &v.User, &v.Authority, &v.Account, &v.Link, &v.Contact, &v.Portal} {
		*s = line(*s)
	}
	shown := struct {
		Values
		Expires string
	}{v, v.Expires.Local().Format("2006-01-02 15:04 MST")}
	var out bounded
	if err := t.t.Execute(&out, shown); err != nil {
		return "", "", fmt.Errorf("it cannot be filled in: %w", err)
	}
	head, body, ok := strings.Cut(out.String(), "\n\n")
	subject, is := strings.CutPrefix(head, "Subject:")
	if !ok || !is || strings.Contains(head, "\n") {
		return "", "", errors.New(`it does not begin with one line "Subject: …" and an empty one`)
	}
	if subject = line(subject); subject == "" || utf8.RuneCountInString(subject) > maxSubject {
		return "", "", fmt.Errorf("its subject does not have 1 to %d characters", maxSubject)
	}
	return subject, strings.TrimSpace(body) + "\n", nil
}

// compose makes the letter as it travels.
func (s *Sender) compose(to netmail.Address, v Values) ([]byte, error) {
	subject, body, err := s.cfg.Template.write(v)
	if err != nil {
		return nil, err
	}
	to.Name = line(v.Name)
	_, domain, _ := strings.Cut(s.from.Address, "@")
	id, err := messageID(domain)
	if err != nil {
		return nil, fmt.Errorf("cannot number the letter: %w", err)
	}
	var b bytes.Buffer
	for _, h := range []struct{ name, value string }{
		{"From", s.from.String()}, {"To", to.String()}, {"Subject", mime.QEncoding.Encode("utf-8", subject)},
		{"Date", s.cfg.Now().Format(time.RFC1123Z)}, {"Message-ID", id}, {"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "quoted-printable"},
	} {
		if strings.IndexFunc(h.value, unicode.IsControl) >= 0 {
			return nil, fmt.Errorf("the header %s would not be one line", h.name)
		}
		b.WriteString(h.name + ": " + folded(h.value) + "\r\n")
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	if _, err := w.Write([]byte(strings.ReplaceAll(body, "\n", "\r\n"))); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// folded puts the words of a header on lines of its own, so that none is longer
// than mail may have.
func folded(value string) string {
	return strings.ReplaceAll(value, "?= =?", "?=\r\n =?")
}
