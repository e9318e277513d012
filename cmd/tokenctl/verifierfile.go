package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/tokenbridge/tokend/ipc"
)

// maxVerifierFile is the largest file of a verifier's settings, in bytes.
const maxVerifierFile = 64 << 10

// radiusFile and duoFile are what a settings file may say. Secrets are in files of
// their own, or are asked for.
type radiusFile struct {
	NASIdentifier string             `toml:"nas_identifier"`
	Timeout       string             `toml:"timeout"`
	Tries         int                `toml:"tries"`
	PushWord      string             `toml:"push_word"`
	PhoneWord     string             `toml:"phone_word"`
	SMSWord       string             `toml:"sms_word"`
	Wait          string             `toml:"wait"`
	Servers       []radiusFileServer `toml:"server"`
}

type radiusFileServer struct {
	Address    string `toml:"address"`
	SecretFile string `toml:"secret_file"`
}

type duoFile struct {
	Host           string `toml:"host"`
	IntegrationKey string `toml:"integration_key"`
	SecretKeyFile  string `toml:"secret_key_file"`
	Timeout        string `toml:"timeout"`
	CAFile         string `toml:"ca_file"`
}

// secretPlace is a secret that the settings lack, or certificates, and where they are.
type secretPlace struct {
	what string // "the secret shared with radius.example.org:1812"
	key  string // of the settings file
	path string // empty: it is asked for
	into *ipc.Secret
	// public is where it goes in place of into, if it is no secret.
	public *string
}

// decodeSettings reads a settings file, and refuses keys that it does not know. Its
// errors name lines.
func decodeSettings(text string, into any) error {
	meta, err := toml.Decode(text, into)
	var parse toml.ParseError
	switch {
	case errors.As(err, &parse):
		return fmt.Errorf("line %d: %s", parse.Position.Line, parse.Message)
	case err != nil:
		return wrongType(text, err.Error())
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return fmt.Errorf("there is no key %q", unknown[0].String())
	}
	return nil
}

// wrongType names the key whose value has another type than it takes, and its line.
// The package says both in words alone, and of several tables the last one's line.
func wrongType(text, said string) error {
	_, rest, _ := strings.Cut(said, `(last key "`)
	path, kinds, ok := strings.Cut(rest, `"): `)
	if !ok {
		return errors.New("a key has a value of the wrong type")
	}
	key, takes, wrong := path[strings.LastIndex(path, ".")+1:], "a number without quotes", `[^\s0-9+-]`
	switch {
	case strings.HasSuffix(kinds, "destination has type string"):
		takes, wrong = "a text in quotes", `[^\s"']`
		if key == "timeout" || key == "wait" {
			takes = `a time in quotes, such as "5s"`
		}
	case path == "server":
		return errors.New("each server is a table of its own, [[server]]")
	}
	place := ""
	if at := regexp.MustCompile(`(?m)^[ \t]*` + regexp.QuoteMeta(key) + `[ \t]*=[ \t]*` + wrong).FindStringIndex(text); at != nil {
		place = fmt.Sprintf("line %d: ", 1+strings.Count(text[:at[0]], "\n"))
	}
	return fmt.Errorf("%s%s takes %s", place, key, takes)
}

// wholeSeconds reads a time of the settings; empty is 0.
func wholeSeconds(key, s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	d, err := parseSpan(s)
	if err != nil || d < time.Second || d%time.Second != 0 || d > math.MaxInt32*time.Second {
		return 0, fmt.Errorf("%s: %q is no time of whole seconds, such as \"5s\"", key, s)
	}
	return int(d / time.Second), nil
}

// parseVerifier reads the settings of a verifier, and says which secrets they lack.
func parseVerifier(name ipc.VerifierName, text string) (ipc.SetVerifierRequest, []secretPlace, error) {
	switch name {
	case ipc.VerifierRadius:
		return parseRadius(text)
	case ipc.VerifierDuo:
		return parseDuo(text)
	}
	return ipc.SetVerifierRequest{}, nil, fmt.Errorf("there is no verifier %q", string(name))
}

func parseRadius(text string) (out ipc.SetVerifierRequest, lacks []secretPlace, err error) {
	var f radiusFile
	if err := decodeSettings(text, &f); err != nil {
		return out, nil, err
	}
	r := &ipc.RadiusSettings{NASIdentifier: f.NASIdentifier, Tries: f.Tries, PushWord: f.PushWord, PhoneWord: f.PhoneWord, SMSWord: f.SMSWord}
	if r.TimeoutSeconds, err = wholeSeconds("timeout", f.Timeout); err != nil {
		return out, nil, err
	}
	if r.WaitSeconds, err = wholeSeconds("wait", f.Wait); err != nil {
		return out, nil, err
	}
	if len(f.Servers) == 0 {
		return out, nil, errors.New("no [[server]] is named")
	}
	r.Servers = make([]ipc.RadiusServer, len(f.Servers))
	for i, s := range f.Servers {
		if s.Address == "" {
			return out, nil, fmt.Errorf("[[server]] %d has no address", i+1)
		}
		r.Servers[i].Address = s.Address
		lacks = append(lacks, secretPlace{what: "the secret shared with " + s.Address, key: "secret_file", path: s.SecretFile, into: &r.Servers[i].Secret})
	}
	return ipc.SetVerifierRequest{Radius: r}, lacks, nil
}

func parseDuo(text string) (out ipc.SetVerifierRequest, lacks []secretPlace, err error) {
	var f duoFile
	if err := decodeSettings(text, &f); err != nil {
		return out, nil, err
	}
	d := &ipc.DuoSettings{Host: f.Host, IntegrationKey: f.IntegrationKey}
	switch d.TimeoutSeconds, err = wholeSeconds("timeout", f.Timeout); {
	case err != nil:
		return out, nil, err
	case f.Host == "":
		return out, nil, errors.New("host is missing")
	case f.IntegrationKey == "":
		return out, nil, errors.New("integration_key is missing")
	}
	lacks = []secretPlace{{what: "Duo's secret key", key: "secret_key_file", path: f.SecretKeyFile, into: &d.SecretKey}}
	if f.CAFile != "" {
		lacks = append(lacks, secretPlace{what: "the certificates", key: "ca_file", path: f.CAFile, public: &d.CACertificates})
	}
	return ipc.SetVerifierRequest{Duo: d}, lacks, nil
}

// readVerifier reads the settings and the secrets of a verifier; the secrets are the
// caller's to wipe.
func (c *cli) readVerifier(ctx context.Context, name ipc.VerifierName, path string) (ipc.SetVerifierRequest, error) {
	raw, err := c.readFile(path, maxVerifierFile, false)
	if err != nil {
		return ipc.SetVerifierRequest{}, err
	}
	out, lacks, err := parseVerifier(name, string(raw))
	if err != nil {
		return out, usage(path+": "+err.Error(), adviceVerifierFile(name)...)
	}
	for _, s := range lacks {
		if err = s.fill(ctx, c, path); err != nil {
			wipeVerifier(out)
			return out, err
		}
		if s.into != nil && name == ipc.VerifierRadius && len(*s.into) < goodRadiusSecret {
			c.say("warning: %s has fewer than %d bytes: whoever sees the packets can guess it", clean(s.what), goodRadiusSecret)
		}
	}
	return out, nil
}

// goodRadiusSecret is how many bytes a shared secret should have (RFC 2865, section 3).
const goodRadiusSecret = 16

// fill reads it from its file, which is named from where the settings are; a secret
// without one is asked for.
func (s secretPlace) fill(ctx context.Context, c *cli, settings string) (err error) {
	if s.path == "" {
		*s.into, err = c.askSecret(ctx, upperFirst(s.what)+" (not shown)", s.key+" in "+settings)
		return err
	}
	path := s.path
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(settings), path)
	}
	if path == "-" {
		path = "./-"
	}
	if s.public != nil {
		text, err := c.readFile(path, maxVerifierFile, false)
		*s.public = string(text)
		return err
	}
	*s.into, err = c.readSecret(ctx, s.key, path)
	return err
}

func wipeVerifier(r ipc.SetVerifierRequest) {
	if r.Radius != nil {
		for _, s := range r.Radius.Servers {
			s.Secret.Wipe()
		}
	}
	if r.Duo != nil {
		r.Duo.SecretKey.Wipe()
	}
}
