package desk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/authority/policy"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/ipc"
)

// policyFile is the policy that is in force.
type policyFile struct {
	path string
	now  atomic.Pointer[inForce]
}

// inForce is a policy's text and what it means. Without a policy nothing is
// allowed.
type inForce struct {
	text    string
	sum     string // SHA-256, hexadecimal
	policy  *policy.Policy
	problem error
}

var errNoPolicy = errors.New("the policy cannot be used")

func readPolicy(path string) *policyFile {
	f := &policyFile{path: path}
	text, err := readText(path)
	p := read(text)
	if err != nil {
		p.problem = fmt.Errorf("%w: %w", errNoPolicy, err)
	}
	f.now.Store(p)
	return f
}

func readText(path string) (string, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // a pipe would be waited for
		return "", fmt.Errorf("%s is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, policy.MaxSize+1))
	return string(b), err
}

// read makes a policy of a text.
func read(text string) *inForce {
	p := &inForce{text: text, sum: sumOf(text)}
	var findings []policy.Finding
	if p.policy, findings = policy.Parse([]byte(text)); policy.Failed(findings) {
		p.problem = fmt.Errorf("%w: %s", errNoPolicy, firstError(findings))
	}
	return p
}

func sumOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func firstError(findings []policy.Finding) string {
	for _, f := range findings {
		if f.Severity == policy.Error {
			return f.String()
		}
	}
	return ""
}

func (f *policyFile) current() *inForce { return f.now.Load() }

// usable is the policy that is in force; nil, which allows nothing, where it
// cannot be used.
func (f *policyFile) usable() *policy.Policy {
	if now := f.current(); now.problem == nil {
		return now.policy
	}
	return nil
}

// Policy implements [ipc.Policies].
func (d *Desk) Policy(ctx context.Context, p ipc.Principal) (ipc.PolicyText, error) {
	c, err := d.require(ctx, p, actLook, ofReach, authority.RoleHelpdesk, authority.RoleAdmin)
	if err != nil {
		return ipc.PolicyText{}, err
	}
	now := c.policy.current()
	return ipc.PolicyText{Version: ipc.Version, Text: now.text, SHA256: now.sum}, nil
}

// SetPolicy implements [ipc.Policies].
func (d *Desk) SetPolicy(ctx context.Context, p ipc.Principal, r ipc.SetPolicyRequest) (ipc.PolicyFindings, error) {
	c, err := d.require(ctx, p, actPolicy, ofAll, authority.RoleAdmin)
	if err != nil {
		return ipc.PolicyFindings{}, err
	}
	findings, err := d.check(ctx, c, r.Text)
	if err != nil {
		return ipc.PolicyFindings{}, err
	}
	if policy.Failed(findings) {
		return ipc.PolicyFindings{}, refusedText(findings)
	}
	d.changes.Lock()
	defer d.changes.Unlock()
	if r.Was != "" && r.Was != c.policy.current().sum {
		return ipc.PolicyFindings{}, ipc.Errorf(ipc.Conflict, "the policy was changed meanwhile; it was left as it is")
	}
	next := read(r.Text)
	err = store.ReplaceFile(filepath.Clean(c.policy.path), []byte(r.Text))
	e := authority.Entry{Kind: actPolicy, By: c.by, OK: err == nil, Detail: "sha256=" + next.sum}
	if err != nil {
		e.Detail = string(failed(err).Kind)
	}
	c.chain.Audit(e)
	if err != nil {
		return ipc.PolicyFindings{}, d.failed(err)
	}
	c.policy.now.Store(next)
	return wireFindings(next.sum, findings), nil
}

// CheckPolicy implements [ipc.Policies].
func (d *Desk) CheckPolicy(ctx context.Context, p ipc.Principal, r ipc.CheckPolicyRequest) (ipc.PolicyFindings, error) {
	c, err := d.require(ctx, p, actLook, ofAll, authority.RoleAdmin)
	if err != nil {
		return ipc.PolicyFindings{}, err
	}
	if r.Text == "" {
		r.Text = c.policy.current().text
	}
	findings, err := d.check(ctx, c, r.Text)
	if err != nil {
		return ipc.PolicyFindings{}, err
	}
	return wireFindings(sumOf(r.Text), findings), nil
}

// check says all that is to be said of a text, by itself and with the users.
func (d *Desk) check(ctx context.Context, c *caller, text string) ([]policy.Finding, error) {
	parsed, findings := policy.Parse([]byte(text))
	if policy.Failed(findings) {
		return findings, nil
	}
	more, err := policy.Check(parsed, &population{ctx: ctx, office: c.office, now: d.cfg.Now()})
	if err != nil {
		return nil, d.failed(err)
	}
	return append(findings, more...), nil
}

// maxItems is how many errors of a text are named in an error.
const maxItems = 20

// refusedText says by which lines a text is no policy.
func refusedText(findings []policy.Finding) *ipc.Error {
	e := ipc.Errorf(ipc.InvalidArgument, "this is no policy: %s", firstError(findings))
	for _, f := range findings {
		if f.Severity == policy.Error && len(e.Items) < maxItems {
			e.Items = append(e.Items, ipc.Item{Name: f.String(), Reason: f.Remedy})
		}
	}
	return e
}

func wireFindings(sum string, findings []policy.Finding) ipc.PolicyFindings {
	out := ipc.PolicyFindings{Version: ipc.Version, SHA256: sum, Findings: make([]ipc.PolicyFinding, 0, len(findings)), Failed: policy.Failed(findings)}
	for _, f := range findings {
		out.Findings = append(out.Findings, ipc.PolicyFinding{
			Line: f.Line, Rule: f.Rule, Field: f.Field, Severity: ipc.Severity(f.Severity), Message: f.Message, Remedy: f.Remedy,
		})
	}
	return out
}
