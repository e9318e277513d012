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
// an absolute path to an executable file that neither everybody nor another
// user but root can change or replace, which answers hello with this version of
// the protocol.
func Check(path string) error {
	_, err := Examine(path)
	return err
}

// Trust is Check without asking the program, which costs next to nothing.
func Trust(path string) error {
	_, err := trust(path)
	return err
}

// Examine is Check, and returns what the program says of itself.
func Examine(path string) (wire.Hello, error) {
	real, err := trust(path)
	if err != nil {
		return wire.Hello{}, err
	}
	ctx, stop := context.WithTimeout(context.Background(), helloTimeout)
	defer stop()
	return Ask(ctx, real)
}

// trust is Check without asking the program; it is done before each run. It
// returns the file that the path leads to, which is the one to run.
func trust(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("the path of the token helper is not absolute: %q", path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("cannot find the token helper: %w", err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", fmt.Errorf("cannot find the token helper: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("the token helper %s is not a file", real)
	}
	if err := checkFile(real, info); err != nil {
		return "", err
	}
	return real, trustFolders(filepath.Dir(real))
}

// trustFolders looks at a folder and all that it lies in: who can rename one of
// them can put another in its place.
func trustFolders(dir string) error {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("cannot look at the token helper's folder: %w", err)
		}
		if err := checkFolder(dir, info); err != nil {
			return err
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
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
	cleanHello(&h)
	return h, nil
}

// cleanHello makes what a program says of itself fit to be shown.
func cleanHello(h *wire.Hello) {
	for k, why := range h.Missing {
		h.Missing[k] = wire.Text(why)
	}
	for i, word := range h.Confined {
		h.Confined[i] = wire.Text(word)
	}
}
