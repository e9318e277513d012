package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/ipc/httpapi"
	"github.com/tokenbridge/tokend/ipc/local"
)

const guide = "../../docs/api.md"

func readGuide(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestGuideExamples runs every shell example of the guide and compares the
// answer with the one that is printed below it.
func TestGuideExamples(t *testing.T) {
	example := regexp.MustCompile("(?s)```sh\n(.*?)```\n```json\n(.*?)```")
	text := readGuide(t)
	found := example.FindAllStringSubmatch(text, -1)
	if len(found) < 10 || len(found) != strings.Count(text, "```sh\n") {
		t.Fatalf("%d examples with an answer, %d in all", len(found), strings.Count(text, "```sh\n"))
	}
	// curl notices that head has left when the next line comes.
	limits := httpapi.Limits{KeepAlive: 100 * time.Millisecond}
	socket := start(t, httpapi.Config{Backend: newBackend(), Limits: limits}, local.Options{})
	for _, e := range found {
		cmd := exec.Command("sh", "-c", e[1])
		cmd.Env = append(os.Environ(), "TOKEND_SOCKET="+socket)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		// head closes curl's pipe, and curl says so.
		if err != nil || (stderr.Len() > 0 && !strings.Contains(e[1], "| head")) {
			t.Errorf("%s: %v: %s", e[1], err, stderr.Bytes())
			continue
		}
		var got, want any
		if err := json.Unmarshal([]byte(e[2]), &want); err != nil {
			t.Errorf("the guide's answer is no JSON: %s", e[2])
		}
		if err := json.Unmarshal(out, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s answers\n%s\nand the guide says\n%s", e[1], out, e[2])
		}
	}
}

// TestGuideTables compares the guide's tables with the code they tell of.
func TestGuideTables(t *testing.T) {
	text := readGuide(t)
	var routes, kinds strings.Builder
	for _, r := range httpapi.Routes() {
		path := r.Path
		if r.Query != "" {
			path += "?" + r.Query + "=…"
		}
		fmt.Fprintf(&routes, "| `%s %s` | %s | %s |\n", r.Method, path, r.Access, r.Summary)
	}
	for _, k := range ipc.Kinds() {
		status := fmt.Sprint(k.HTTP)
		if k.HTTP == 0 {
			status = "none: the client says it"
		}
		fmt.Fprintf(&kinds, "| `%s` | %s | %d |\n", k.Kind, status, k.Exit)
	}
	l := httpapi.DefaultLimits()
	limits := fmt.Sprintf("| | |\n|---|---|\n| connections of one user, in all | %d, %d |\n| request line and header fields | %d KiB, %d fields |\n| time for the head, for the body | %v, %v |\n"+
		"| time between two requests of a connection | %v |\n| time to take 64 KiB of an answer | %v |\n", l.ConnectionsUser, l.Connections, (l.HeaderBytes+4096)>>10, l.HeaderFields, l.HeaderTime, l.BodyTime, l.IdleTime, l.WriteTime)
	for _, r := range httpapi.Routes() {
		if r.MaxBody > 1<<20 {
			limits += fmt.Sprintf("| body of `%s %s` | %d MiB |\n", r.Method, r.Path, r.MaxBody>>20)
		}
	}
	limits += fmt.Sprintf("| any other body | 1 MiB |\n| bodies with a backup at one time, of one user, in all | %d, %d |\n", l.LargeBodiesUser, l.LargeBodies)
	for _, want := range []string{routes.String(), kinds.String(), limits} {
		if !strings.Contains(text, want) {
			t.Errorf("the guide's table is not\n%s", want)
		}
	}
}
