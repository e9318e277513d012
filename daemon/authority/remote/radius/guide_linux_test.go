package radius

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/remote"
)

// around is what a FreeRADIUS has beside the guide's blocks: the folder and the port,
// a site that serves others, and the blocks. Anna's passcode is "correct"; to two it
// asks for something more.
const around = `
prefix = /usr
libdir = /usr/lib/freeradius
raddbdir = %[1]s
run_dir = %[1]s
logdir = %[1]s
name = freeradius
hostname_lookups = no
security {
	status_server = yes
	reject_delay = 0
}
modules {
	files {
		filename = %[1]s/users
	}
	pap {
	}
	always handled {
		rcode = handled
	}
	always reject {
		rcode = reject
	}
	always ok {
		rcode = ok
	}
}
%[3]s
server default {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = %[2]d
	}
	authorize {
		reject
	}
}
%[4]s
`

const guideUsers = `anna Cleartext-Password := "correct"
two Response-Packet-Type := Access-Challenge, Auth-Type := asks
	State = 0x0001fe,
	Reply-Message = "Enter the code"
`

// guideBlocks are those of docs/radius.md by their kind.
func guideBlocks(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../../../../docs/radius.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)```(freeradius[a-z0-9.-]+)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		blocks[m[1]] = m[2]
	}
	if len(blocks) != 3 {
		t.Fatalf("the guide has other blocks than this test knows: %v", blocks)
	}
	return blocks
}

// guideServer starts a FreeRADIUS with the site of the guide, as one changes it who
// has a module that asks for something more.
func guideServer(t *testing.T, site string) *radiusd {
	t.Helper()
	client := strings.NewReplacer("192.0.2.10", "127.0.0.1", "THE SECRET", testSecret).Replace(guideBlocks(t)["freeradius-client"])
	site = strings.Replace(site, "\t\tAuth-Type PAP {", "\t\tAuth-Type asks {\n\t\t\thandled\n\t\t}\n\t\tAuth-Type PAP {", 1)
	if !strings.Contains(client, testSecret) || !strings.Contains(site, "asks") {
		t.Fatalf("the guide's blocks are not as this test knows them:\n%s%s", client, site)
	}
	for range 5 { // the port may be gone by then
		r := launch(t, func(dir string, port int) string {
			write(t, filepath.Join(dir, "users"), guideUsers)
			return fmt.Sprintf(around, dir, port, client, site)
		})
		if r != nil {
			return r
		}
	}
	t.Fatal("FreeRADIUS does not start")
	return nil
}

// TestGuide has a FreeRADIUS that is set up as docs/radius.md says answer every kind
// of question.
func TestGuide(t *testing.T) {
	sites := []string{guideBlocks(t)["freeradius-before-3.2.5"]}
	if signsAlways(t) {
		sites = append(sites, guideBlocks(t)["freeradius-from-3.2.5"])
	}
	for _, site := range sites {
		c := quick(t, patient, guideServer(t, site).address)
		if err := c.Check(t.Context()); err != nil {
			t.Errorf("status: %v", err)
		}
		for passcode, want := range map[string]remote.State{"correct": remote.Accepted, "incorrect": remote.Rejected} {
			if a := begin(t, c, fobOf("anna", passcode)); a.State != want {
				t.Errorf("%s: %+v", passcode, a)
			}
		}
		if a := begin(t, c, fobOf("two", "123456")); a.State != remote.Challenged || a.Prompt != "Enter the code" {
			t.Errorf("%+v", a)
		}
	}
}

// TestGuideNeedsEach takes the four lines out, one after the other, of a FreeRADIUS
// that does not sign by itself.
func TestGuideNeedsEach(t *testing.T) {
	if signsAlways(t) {
		return // there is nothing to forget
	}
	site := guideBlocks(t)["freeradius-before-3.2.5"]
	signs := regexp.MustCompile(`(?s)update reply \{\s*Message-Authenticator := 0x00\s*\}`)
	places := signs.FindAllStringIndex(site, -1)
	if len(places) != 4 {
		t.Fatalf("%d places", len(places))
	}
	asks := []func(c *Client) error{
		func(c *Client) error { return c.Check(t.Context()) },
		func(c *Client) error { _, err := c.Begin(t.Context(), fobOf("anna", "correct")); return err },
		func(c *Client) error { _, err := c.Begin(t.Context(), fobOf("anna", "incorrect")); return err },
		func(c *Client) error { _, err := c.Begin(t.Context(), fobOf("two", "123456")); return err },
	}
	// Unanswered questions are waited for to the end.
	patient := func(c *Config) { c.Timeout, c.Tries = 5*time.Second, 1 }
	for n, at := range places {
		address := guideServer(t, site[:at[0]]+site[at[1]:]).address
		for q, ask := range asks {
			err := ask(quick(t, patient, address))
			if q != n {
				if err != nil {
					t.Errorf("without the line of place %d, question %d: %v", n+1, q+1, err)
				}
				continue
			}
			if !errors.Is(err, ErrNoMessageAuthenticator) {
				t.Errorf("without the line of place %d it is still signed: %v", n+1, err)
			}
		}
	}
}
