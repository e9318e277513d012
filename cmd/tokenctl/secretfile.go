package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/tokenbridge/tokend/ipc"
)

// Bounds of the files that are read, in bytes.
const (
	maxSecretFile  = 4 << 10
	maxURIFile     = 1 << 20
	maxPictureFile = 16 << 20
	maxBackupFile  = 64 << 20
)

// readSecret reads the secret that flag names: a file's, or standard input's
// for "-". One newline at its end is not part of it.
func (c *cli) readSecret(ctx context.Context, flag, path string) (ipc.Secret, error) {
	if path == "-" && c.canAsk() {
		// At a terminal "-" would show what is typed.
		return c.askSecret(ctx, "Secret for "+flag, flag+" FILE")
	}
	b, err := c.readInput(ctx, flag, path, maxSecretFile)
	if err != nil {
		return nil, err
	}
	trimmed := bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	switch {
	case len(trimmed) == 0:
		return nil, usage(fmt.Sprintf("the file given with %s is empty", flag), adviceFilesOnly()...)
	case bytes.IndexByte(trimmed, '\n') >= 0 || bytes.IndexByte(trimmed, 0) >= 0:
		clear(b)
		return nil, usage(fmt.Sprintf("the file given with %s has more than one line", flag), adviceFilesOnly()...)
	}
	return ipc.Secret(trimmed), nil
}

// readInput reads a bounded file, or standard input for "-", which only one
// flag can have. It warns of a file that others can read.
func (c *cli) readInput(ctx context.Context, flag, path string, limit int64) ([]byte, error) {
	if path != "-" {
		return c.readFile(path, limit, true)
	}
	if c.stdinTaken != "" {
		return nil, usage(fmt.Sprintf("%s and %s both read standard input", c.stdinTaken, flag), adviceTwoFromStdin()...)
	}
	c.stdinTaken = flag
	b, err := wait(ctx, c, func() ([]byte, error) {
		b, err := readBounded(c.in, limit)
		if err == nil && len(b) == 0 {
			err = errors.New("it is empty")
		}
		return b, err
	})
	if err != nil && ctx.Err() == nil {
		return nil, failWith("read "+flag+" from standard input",
			&ipc.Error{Kind: ipc.InvalidArgument, Message: reason(err)}, adviceForFile(ipc.InvalidArgument)...)
	}
	return b, err
}

// readFile reads one of the user's files, at most limit bytes of it.
func (c *cli) readFile(path string, limit int64, secret bool) ([]byte, error) {
	doing := "read " + path
	f, err := os.Open(path)
	if err != nil {
		return nil, fileFailure(doing, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fileFailure(doing, err)
	}
	if info.IsDir() {
		return nil, problem(ipc.InvalidArgument, doing, errors.New("it is a folder"), adviceForFile(ipc.NotFound)...)
	}
	if secret && info.Mode().IsRegular() && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		c.say("warning: %s can be read by other users (mode %04o)", clean(path), info.Mode().Perm())
		c.say("  mend it: chmod 600 %s", clean(path))
	}
	b, err := readBounded(f, limit)
	if err != nil {
		return nil, problem(ipc.InvalidArgument, doing, err, adviceForFile(ipc.InvalidArgument)...)
	}
	return b, nil
}

func readBounded(r io.Reader, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		clear(b)
		return nil, fmt.Errorf("it is larger than %d bytes", limit)
	}
	return b, nil
}

// reason is the innermost message that a person should see of err.
func reason(err error) string {
	var e *ipc.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return plain(err)
}
