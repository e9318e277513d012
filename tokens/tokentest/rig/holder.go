//go:build linux

package rig

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// dirPrefix starts the name of every rig's folder.
const dirPrefix = "vpcscd-"

// script runs inside the namespaces and keeps them alive. It takes commands on
// its standard input, whose end, however it came about, is the end of pcscd,
// the namespaces and the folder: that needs nothing of the program outside, and
// works where that may not signal anybody here.
const script = `
set -u
dir=$1; shift
PATH=$PATH:/usr/sbin:/sbin
bus=/run/dbus # where a pcscd with polkit asks
[ -d "$bus" ] || bus=$dir/none
prepare() {
	mount --make-rprivate / &&
	mount --bind "$bus" "$dir/dbus" &&
	mount -t tmpfs tmpfs /run &&
	mkdir /run/pcscd /run/dbus &&
	mount --bind "$dir/ipc" /run/pcscd &&
	mount --move "$dir/dbus" /run/dbus &&
	{ [ ! -d /dev/bus/usb ] || mount -t tmpfs tmpfs /dev/bus/usb; } &&
	ip link set lo up || return
	# vpcd sends length and payload apart: without immediate acknowledgements
	# each command would take 40 ms. Only speed is lost if this fails.
	ip route replace table local local 127.0.0.1 dev lo proto kernel scope host src 127.0.0.1 quickack 1 2>/dev/null
	:
}
end() {
	[ -z "$pid" ] && return
	kill -s "$1" "$pid"
	wait "$pid"
	pid=
}
pid=
if ! prepare; then exit 1; fi
echo "ok $$"
while read -r verb arg; do
	case $verb in
	start)
		rm -f "$dir/ipc/pcscd.comm" "$dir/ipc/pcscd.pid"
		PCSCLITE_HP_DROPDIR="$dir/none" setpriv --pdeathsig KILL \
			"$@" --foreground --info --config "$dir/conf" </dev/null >>"$dir/log" 2>&1 &
		pid=$!
		echo "ok $pid";;
	end)
		end "$arg" 2>/dev/null
		echo "ok";;
	esac
done
end KILL 2>/dev/null
rm -f "$dir"/conf/* "$dir"/ipc/* "$dir"/lib/* "$dir/log"
rmdir "$dir"/lib "$dir"/conf "$dir"/ipc "$dir"/dbus "$dir"/none "$dir"
`

// holder is the script at work.
type holder struct {
	programs
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stderr *lockedBuffer
	lines  chan string
	pid    string // of the script, for entering its namespaces
}

func startHolder(ctx context.Context, p programs, dir string) (*holder, error) {
	args := append(append([]string(nil), p.enter...), p.unshare...)
	args = append(args, lookUp("bash"), "-c", script, "pcscd-holder", dir)
	args = append(args, p.pcscd...)
	h := &holder{programs: p, cmd: exec.Command(args[0], args[1:]...), lines: make(chan string), stderr: &lockedBuffer{}}
	h.cmd.Dir = "/"
	h.cmd.Stderr = h.stderr
	// A terminal's interrupt must not end the script before its program: it
	// has to tidy up.
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := h.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start pcscd: %w", err)
	}
	stdout, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("cannot start pcscd: %w", err)
	}
	h.stdin = stdin
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start pcscd: %w", err)
	}
	go func() {
		defer close(h.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			h.lines <- s.Text()
		}
	}()
	if h.pid, err = h.reply(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot make namespaces for pcscd: %w", err), h.close())
	}
	return h, nil
}

// command has the script do something and returns what it says to that.
func (h *holder) command(ctx context.Context, line string) (string, error) {
	if _, err := io.WriteString(h.stdin, line+"\n"); err != nil {
		return "", err
	}
	return h.reply(ctx)
}

func (h *holder) reply(ctx context.Context) (string, error) {
	select {
	case l, ok := <-h.lines:
		if !ok {
			return "", fmt.Errorf("the process that holds it ended: %s", h.stderr)
		}
		return strings.TrimSpace(strings.TrimPrefix(l, "ok")), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// close ends the script, and with it pcscd and the namespaces.
func (h *holder) close() error {
	_ = h.stdin.Close() // it may have ended by itself
	grace := time.AfterFunc(5*time.Second, func() { _ = h.cmd.Process.Kill() })
	defer grace.Stop()
	for range h.lines { // Wait must come after the last read
	}
	if err := h.cmd.Wait(); err != nil {
		return fmt.Errorf("cannot end pcscd cleanly: %w: %s", err, h.stderr)
	}
	return nil
}

// lockedBuffer keeps the first 4096 bytes written to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Write(p[:min(len(p), max(0, 4096-l.b.Len()))])
	return len(p), nil
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.TrimSpace(l.b.String())
}
