//go:build linux

package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	openvpn     = "/usr/sbin/openvpn"
	guideSecret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	vpnPassword = "the VPN's <password>"
)

// door lets in whoever has a code, each once, as a careful server does.
type door struct {
	mu   sync.Mutex
	used map[string]bool
}

// opens looks at a code with oathtool.
func (d *door) opens(code string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	cmd := exec.Command("oathtool", "--totp", "-b", "-w", "2", "-N", time.Now().Add(-30*time.Second).UTC().Format("2006-01-02 15:04:05 UTC"), "-", code)
	cmd.Stdin = strings.NewReader(guideSecret)
	if d.used[code] || cmd.Run() != nil {
		return false
	}
	if d.used == nil {
		d.used = map[string]bool{}
	}
	d.used[code] = true
	return true
}

// certificate is one that signed itself.
type certificate struct {
	tls.Certificate
	pem, key string // the key is the path of a file, beside the certificate's
}

func newCertificate(t *testing.T, names ...string) certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return certificate{
		Certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem: text,
		key: File(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))),
	}
}

// serve serves until the test ends and returns the port.
func (c certificate) serve(t *testing.T, h http.HandlerFunc) (port string) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{c.Certificate}}
	s.StartTLS()
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// serveReports hands out a report for a code as password; it returns the address.
func serveReports(t *testing.T, c certificate) string {
	d := &door{}
	return "127.0.0.1:" + c.serve(t, func(w http.ResponseWriter, r *http.Request) {
		if name, code, ok := r.BasicAuth(); !ok || name != "me" || !d.opens(code) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprintln(w, "the report")
	})
}

// serveAnyConnect asks openconnect what ocserv asks with a second factor, in ocserv's
// words: a name, a password, a code. (ocserv itself cannot be installed without
// starting a VPN's server on the machine.) It returns the port.
func serveAnyConnect(t *testing.T, c certificate) string {
	d := &door{}
	const envelope = `<?xml version="1.0" encoding="UTF-8"?>
<config-auth client="vpn" type="%s">
<version who="sg">0.1(1)</version>
<auth id="%s">
%s</auth>
</config-auth>`
	form := func(message, kind, name string) string {
		return fmt.Sprintf("<message>%s</message>\n<form method=\"post\" action=\"/auth\">\n<input type=\"%s\" name=\"%s\" label=\"%s:\" />\n</form>", message, kind, name, name)
	}
	return c.serve(t, func(w http.ResponseWriter, r *http.Request) {
		var said struct {
			Name     string `xml:"auth>username"`
			Password string `xml:"auth>password"`
		}
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		_ = xml.Unmarshal(body, &said)
		_, err := r.Cookie("webvpncontext")
		knows := err == nil
		w.Header().Set("Content-Type", "text/xml")
		w.Header().Set("X-Transcend-Version", "1")
		switch {
		case r.URL.Path == "/":
			fmt.Fprintf(w, envelope, "auth-request", "main", form("Please enter your username.", "text", "username"))
		case said.Name == "me":
			fmt.Fprintf(w, envelope, "auth-request", "main", form("Please enter your password.", "password", "password"))
		case said.Password == vpnPassword:
			http.SetCookie(w, &http.Cookie{Name: "webvpncontext", Value: "one", Secure: true, HttpOnly: true})
			fmt.Fprintf(w, envelope, "auth-request", "main", form("Please enter your OTP password.", "password", "password"))
		case knows && d.opens(said.Password):
			http.SetCookie(w, &http.Cookie{Name: "webvpn", Value: "two", Secure: true, HttpOnly: true})
			fmt.Fprintf(w, envelope, "complete", "success", "<title>SSL VPN Service</title>")
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
}

// serveOpenVPN is OpenVPN's own server. It wants a tun device, which is root's and
// not everywhere: without one there is no address.
func serveOpenVPN(t *testing.T, c certificate) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	check := fmt.Sprintf(`#!/bin/sh
set -eu
{ read -r name; read -r answer; } <"$1"
IFS=: read -r kind password code <<END
$answer
END
code=$(printf %%s "$code" | base64 -d)
[ "$name $kind $(printf %%s "$password" | base64 -d)" = 'me SCRV1 %s' ] || exit 1
[ ! -e "%s/$code" ] || exit 1
: >"%s/$code"
printf %%s %s | oathtool --totp -b -w 2 -N "$(date -u -d '30 seconds ago' '+%%Y-%%m-%%d %%H:%%M:%%S UTC')" - "$code" >/dev/null
`, strings.ReplaceAll(vpnPassword, "'", `'\''`), dir, dir, guideSecret)
	script := filepath.Join(dir, "check")
	if err := os.WriteFile(script, []byte(check), 0o700); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(address)
	cmd, said := exec.Command(openvpn, "--mode", "server", "--tls-server", "--dev", "tun", "--topology", "subnet",
		"--local", host, "--port", port, "--proto", "tcp-server", "--ca", File(t, c.pem), "--cert", File(t, c.pem), "--key", c.key, "--dh", "none",
		"--verify-client-cert", "none", "--username-as-common-name", "--script-security", "2", "--auth-user-pass-verify", script, "via-file",
		"--tmp-dir", dir, "--keepalive", "10", "60"), new(Buffer)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (packaging/setup.sh test installs it)", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("OpenVPN's server said:\n%s", said)
		}
	})
	Eventually(t, time.Minute, func() error {
		switch log := said.String(); {
		case strings.Contains(log, "TUN/TAP dev ") || strings.Contains(log, "TUNSETIFF"):
			t.Logf("OpenVPN's server cannot run here, what it would ask is played: %s", log)
			address = ""
		case !strings.Contains(log, "Initialization Sequence Completed"):
			return errors.New(log)
		}
		return nil
	})
	return address
}

// manageOpenVPN plays the management interface of an OpenVPN client, in OpenVPN's
// words, that is let in for a name, a password and a code.
func manageOpenVPN(t *testing.T, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintln(c, ">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info\n>PASSWORD:Need 'Auth' username/password SC:0,Code")
		name := ""
		for lines := bufio.NewScanner(c); lines.Scan(); {
			fmt.Fprintln(c, "SUCCESS: noted")
			if n, ok := strings.CutPrefix(lines.Text(), `username "Auth" `); ok {
				name = n
			}
			answer, ok := strings.CutPrefix(strings.TrimSuffix(lines.Text(), `"`), `password "Auth" "SCRV1:`)
			if !ok {
				continue
			}
			password, code, _ := strings.Cut(answer, ":")
			p, _ := base64.StdEncoding.DecodeString(password)
			n, _ := base64.StdEncoding.DecodeString(code)
			fmt.Fprintln(c, ">STATE:1795911688,AUTH,,,,,,")
			if name != `"me"` || string(p) != vpnPassword || !new(door).opens(string(n)) {
				fmt.Fprintln(c, ">PASSWORD:Verification Failed: 'Auth'")
				continue
			}
			fmt.Fprintln(c, ">STATE:1795911688,CONNECTED,SUCCESS,,127.0.0.1,1194,127.0.0.1,52076")
		}
	}()
}

// serveSSH asks for a code by keyboard-interactive, and runs nothing: it answers
// each command with "I am in". It returns the options by which ssh finds and
// knows it.
func serveSSH(t *testing.T, home string) []string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	host, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{}
	conf := &ssh.ServerConfig{KeyboardInteractiveCallback: func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		answers, err := ask("", "", []string{"Verification code: "}, []bool{false})
		if err != nil || len(answers) != 1 || !d.opens(answers[0]) {
			return nil, errors.New("refused")
		}
		return nil, nil
	}}
	conf.AddHostKey(host)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go sshSession(c, conf)
		}
	}()
	known := filepath.Join(home, "known_hosts")
	if err := os.WriteFile(known, []byte("bastion.example.org "+string(ssh.MarshalAuthorizedKey(host.PublicKey()))), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return []string{"-o", "HostName=127.0.0.1", "-o", "HostKeyAlias=bastion.example.org", "-o", "Port=" + port,
		"-o", "UserKnownHostsFile=" + known, "-o", "StrictHostKeyChecking=yes"}
}

func sshSession(c net.Conn, conf *ssh.ServerConfig) {
	defer func() { _ = c.Close() }()
	conn, channels, requests, err := ssh.NewServerConn(c, conf)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	go ssh.DiscardRequests(requests)
	for n := range channels {
		ch, asked, err := n.Accept()
		if err != nil {
			return
		}
		for r := range asked {
			_ = r.Reply(r.Type == "exec", nil)
			if r.Type != "exec" {
				continue
			}
			_, _ = io.WriteString(ch, "I am in\n")
			_, _ = ch.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
			_ = ch.Close()
		}
	}
}
