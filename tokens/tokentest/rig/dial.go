//go:build linux

package rig

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// relay connects its standard streams with a port inside the namespace, for
// those who may not enter it themselves. It ends when either side does.
const relay = `exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
exec 4<&0
cat <&3 & cat <&4 >&3 &
wait -n; kill $(jobs -p) 2>/dev/null`

// dial connects to a port inside the namespace, waiting for vpcd to listen.
func (h *holder) dial(ctx context.Context, port int) (io.ReadWriteCloser, error) {
	if h.rootless {
		return h.dialRelay(port)
	}
	for {
		conn, err := dialInside("/proc/"+h.pid+"/ns/net", port)
		if err == nil {
			return conn, nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// dialInside makes a connection in another network namespace. The thread that
// entered it ends with the goroutine, so that no other code ever runs there.
func dialInside(namespace string, port int) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked
		conn, err := dialAfterEntering(namespace, port)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

func dialAfterEntering(namespace string, port int) (net.Conn, error) {
	ns, err := os.Open(namespace)
	if err != nil {
		return nil, err
	}
	defer func() { _ = ns.Close() }() // opened for reading
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("cannot enter the network namespace: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot make a socket: %w", err)
	}
	f := os.NewFile(uintptr(fd), "vpcd")
	defer func() { _ = f.Close() }() // net.FileConn has its own copy
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return nil, fmt.Errorf("cannot connect to vpcd: %w", err)
	}
	return net.FileConn(f)
}

// dialRelay connects through a process that enters the namespaces.
func (h *holder) dialRelay(port int) (io.ReadWriteCloser, error) {
	args := append(append([]string(nil), h.enter...), "nsenter", "--target", h.pid, "--net")
	if h.userns {
		args = append(args, "--user", "--preserve-credentials")
	}
	args = append(args, lookUp("bash"), "-c", relay, "vpcd-relay", strconv.Itoa(port))
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as for the holder
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &relayed{Reader: stdout, WriteCloser: stdin, cmd: cmd}, nil
}

// relayed is a connection whose other end a process carries on.
type relayed struct {
	io.Reader
	io.WriteCloser
	cmd  *exec.Cmd
	once sync.Once
}

// Close ends the relay by ending its input.
func (r *relayed) Close() error {
	err := r.WriteCloser.Close()
	r.once.Do(func() { _ = r.cmd.Wait() }) // its status says nothing new
	return err
}
