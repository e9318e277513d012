package helper

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/tokenbridge/tokend/tokens/helper/wire"
)

// helloTimeout bounds Check and Ask.
const helloTimeout = 10 * time.Second

// Check says whether the program at path can be trusted with a PIN and fits:
// an absolute path to an executable file that nobody but root and this user
// can change, which answers hello with this version of the protocol.
func Check(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("the path of the token helper is not absolute: %q", path)
	}
	// The checks are about the file that would run.
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("cannot find the token helper: %w", err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return fmt.Errorf("cannot find the token helper: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("the token helper %s is not a file", real)
	}
	dir, err := os.Stat(filepath.Dir(real))
	if err != nil {
		return fmt.Errorf("cannot look at the token helper's folder: %w", err)
	}
	if err := checkOwnership(real, info, dir); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(context.Background(), helloTimeout)
	defer stop()
	_, err = Ask(ctx, path)
	return err
}

// limited fails once more than maxStderr bytes are written to it, which ends a
// program that would never stop.
type limited struct{ kept []byte }

func (l *limited) Write(b []byte) (int, error) {
	if len(l.kept)+len(b) > maxStderr {
		return 0, wire.ErrFormat
	}
	l.kept = append(l.kept, b...)
	return len(b), nil
}

// Ask returns what the program at path says of itself.
func Ask(ctx context.Context, path string) (wire.Hello, error) {
	cmd := exec.CommandContext(ctx, path, "hello")
	cmd.Env = Environment()
	cmd.Dir = rootDir()
	cmd.SysProcAttr = attributes()
	cmd.Cancel = func() error { return killGroup(cmd.Process) }
	cmd.WaitDelay = time.Second
	out := &limited{}
	cmd.Stdout = out
	if err := cmd.Run(); err != nil {
		return wire.Hello{}, fmt.Errorf("cannot run the token helper: %w", err)
	}
	var h wire.Hello
	if err := wire.Decode(bytes.TrimSpace(out.kept), &h); err != nil {
		return wire.Hello{}, fmt.Errorf("%s is not a token helper: %w", path, err)
	}
	if h.Version != wire.Version {
		return wire.Hello{}, fmt.Errorf("the token helper %s speaks version %d, not %d", path, h.Version, wire.Version)
	}
	for k, why := range h.Missing {
		h.Missing[k] = wire.Text(why)
	}
	return h, nil
}
