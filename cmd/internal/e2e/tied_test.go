//go:build linux

package e2e

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestADaemonEndsWithItsTest: of a run of tests that is killed no daemon is left.
func TestADaemonEndsWithItsTest(t *testing.T) {
	const env = "TOKEND_TEST_TIED"
	if dir := os.Getenv(env); dir != "" { // the run that is killed
		d := NewDaemon(t, Programs{Dir: dir}, nil)
		d.Start()
		fmt.Println(d.PID())
		select {}
	}
	t.Parallel()
	run := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	run.Env = append(os.Environ(), env+"="+plainPrograms(t).Dir, "TMPDIR="+t.TempDir())
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, notNumber := strconv.Atoi(line[:max(0, len(line)-1)])
	if kill := run.Process.Kill(); err != nil || notNumber != nil || kill != nil {
		t.Fatalf("%q, %v, %v", line, err, kill)
	}
	_ = run.Wait()
	Eventually(t, patience, func() error {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil || strings.Contains(string(status), "State:\tZ") { // whoever inherits it need not be quick
			return nil
		}
		return fmt.Errorf("tokend, process %d, is left", pid)
	})
}
