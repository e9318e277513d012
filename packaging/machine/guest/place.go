//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"
)

// program is where this program is in the machine.
const program = "/run/machine/guest"

// seatSocket is where the session of whoever sits at the machine takes jobs.
const seatSocket = "/run/machine/seat/socket"

// place is somebody somewhere who runs jobs.
type place struct {
	name string
	run  func(context.Context, job) outcome
}

// root is this process.
func root() place { return place{"root", do} }

// seat is the user who sits at the first console, in his session.
func seat() place {
	return place{"person, at the machine", func(ctx context.Context, j job) outcome {
		var conn net.Conn
		var err error
		for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			var d net.Dialer
			if conn, err = d.DialContext(ctx, "unix", seatSocket); err == nil || time.Now().After(end) {
				break
			}
		}
		if err != nil {
			return outcome{Problem: "nobody sits at the machine: " + err.Error()}
		}
		defer conn.Close()
		var o outcome
		if err := json.NewEncoder(conn).Encode(j); err != nil {
			return outcome{Problem: err.Error()}
		}
		if err := json.NewDecoder(conn).Decode(&o); err != nil {
			return outcome{Problem: "the session ended: " + err.Error()}
		}
		return o
	}}
}

// remote is a user who came by ssh, and has no seat.
func remote(user string) place {
	return place{user + ", by ssh", func(ctx context.Context, j job) outcome {
		in, err := json.Marshal(j)
		if err != nil {
			return outcome{Problem: err.Error()}
		}
		cmd := exec.CommandContext(ctx, "ssh", "-i", "/root/.ssh/id_ed25519", "-o", "StrictHostKeyChecking=no",
			"-o", "BatchMode=yes", "-o", "LogLevel=ERROR", user+"@localhost", program, "run")
		cmd.Stdin = bytes.NewReader(in)
		cmd.WaitDelay = time.Second
		var out, errOut bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errOut
		err = cmd.Run()
		var o outcome
		if bad := json.Unmarshal(out.Bytes(), &o); bad != nil {
			return outcome{Problem: fmt.Sprintf("ssh: %v: %s%s", errors.Join(err, bad), out.String(), errOut.String())}
		}
		return o
	}}
}

// serveSession takes jobs in this session until it ends.
func serveSession(ctx context.Context) error {
	if err := os.Remove(seatSocket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var c net.ListenConfig
	l, err := c.Listen(ctx, "unix", seatSocket)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			_ = serveJob(ctx, conn, conn) // who asked sees that nothing came
		}()
	}
}

// serveJob runs the one job that is read from in.
func serveJob(ctx context.Context, in io.Reader, out io.Writer) error {
	var j job
	if err := json.NewDecoder(in).Decode(&j); err != nil {
		return err
	}
	if len(j.Args) == 0 {
		return errors.New("the job has no command")
	}
	return json.NewEncoder(out).Encode(do(ctx, j))
}

// try runs a job and wants exit code 0.
func (p place) try(j job) (outcome, error) {
	o := p.run(context.Background(), j)
	if o.Problem != "" || o.Code != 0 {
		return o, fmt.Errorf("%s: %s: %s", p.name, strings.Join(j.Args, " "), o)
	}
	return o, nil
}

// sh runs a line of shell and returns what it wrote to standard output.
func (p place) sh(line string) (string, error) {
	o, err := p.try(job{Args: []string{"sh", "-c", line}})
	return o.Out, err
}

// String is what came of a job, for people.
func (o outcome) String() string {
	text := fmt.Sprintf("exit code %d", o.Code)
	if o.Problem != "" {
		text = o.Problem
	}
	for _, part := range []string{o.Out, o.Err} {
		if part = strings.TrimSpace(part); part != "" {
			text += "\n" + part
		}
	}
	return text
}
