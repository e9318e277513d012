//go:build unix

package helper

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestRunning(t *testing.T) {
	var r Running
	cmd := exec.Command("sh", "-c", "sleep 60 & echo $!; wait")
	cmd.SysProcAttr = attributes()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	t.Cleanup(func() { _ = killGroup(cmd.Process); _ = cmd.Wait() })
	var child int
	if _, err := fmt.Fscan(out, &child); err != nil {
		t.Fatal(err)
	}
	if r.Has(pid) || r.Has(child) {
		t.Fatal("it is known before it was noted")
	}
	gone := r.add(pid)
	if !r.Has(pid) || !r.Has(child) {
		t.Error("it or its child is not known")
	}
	if r.Has(0) || r.Has(-1) || r.Has(os.Getpid()) {
		t.Error("others are taken for it")
	}
	again := r.add(pid)
	gone()
	if !r.Has(pid) {
		t.Error("one of two notes is enough")
	}
	again()
	if !r.Has(pid) || len(r.alive) != 0 {
		t.Error("what it sent last may still wait to be accepted")
	}
	r.ended[pid] = time.Now().Add(-lingering - time.Second)
	if r.Has(pid) || r.Has(child) {
		t.Error("the number is refused for ever")
	}
	r.add(1 << 30)()
	if len(r.ended) != 1 {
		t.Errorf("%d numbers are kept", len(r.ended))
	}
	var none *Running
	none.add(pid)()
}
