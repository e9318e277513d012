// Command machine boots the virtual machine of "make test-machine" and shows what
// the scenario in it (packaging/machine/guest) tells, step by step. It fails when
// a step does, and when the scenario does not come to its end.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tokenbridge/tokend/packaging/machine/report"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

type options struct {
	image, disk, console string
	memory               int
	limit                time.Duration
}

// run is the program; it returns the exit code.
func run(args []string, out, errOut io.Writer) int {
	var o options
	flags := flag.NewFlagSet("machine", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&o.image, "image", "", "`FOLDER` with root.img, vmlinuz and initrd")
	flags.StringVar(&o.disk, "disk", "", "`FILE` that is the second disk: a tar archive with the scenario")
	flags.StringVar(&o.console, "console", "console.log", "`FILE` for what the kernel and services say")
	flags.IntVar(&o.memory, "memory", 1024, "of the machine, in `MiB`")
	flags.DurationVar(&o.limit, "limit", time.Hour, "how long all of it may take")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	r, err := boot(ctx, o, out)
	switch {
	case err != nil:
		fmt.Fprintf(errOut, "%v\n", err)
	case !r.ended:
		fmt.Fprintf(errOut, "the machine ended before the scenario did, in %q\n", r.step)
	case len(r.failed) > 0:
		fmt.Fprintf(errOut, "%d of %d steps failed:\n  %s\n", len(r.failed), r.steps, strings.Join(r.failed, "\n  "))
	default:
		fmt.Fprintf(out, "all %d steps are as expected\n", r.steps)
		return 0
	}
	fmt.Fprintf(errOut, "what the machine's kernel and services said is in %s\n", o.console)
	return 1
}

// boot runs the machine until it is switched off.
func boot(ctx context.Context, o options, out io.Writer) (*reading, error) {
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", o.qemu()...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	said := &strings.Builder{}
	cmd.Stderr = said
	lines, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start the machine: %w", err)
	}
	r := &reading{out: out, began: time.Now()}
	r.read(lines)
	err = cmd.Wait()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return r, fmt.Errorf("the scenario was not over after %v, in %q", o.limit, r.step)
	}
	if err != nil {
		return r, fmt.Errorf("the machine failed: %w\n%s", err, said)
	}
	return r, nil
}

// qemu is how the machine is made: its disks forget what is written when it ends,
// and it has no network. Its clock goes by the instructions it does, one each
// nanosecond, and waits for the host's while there is nothing to do: a host that is
// slow or busy is not seen inside, where neither a limit of time runs out by it nor a
// figure tells of it. With a second processor each would wait for the other's turn.
func (o options) qemu() []string {
	return []string{
		"-accel", "tcg,thread=single", "-icount", "shift=0,sleep=on", "-cpu", "max", "-smp", "1", "-m", strconv.Itoa(o.memory),
		"-display", "none", "-monitor", "none", "-nic", "none",
		"-kernel", filepath.Join(o.image, "vmlinuz"), "-initrd", filepath.Join(o.image, "initrd"),
		"-append", "console=ttyS0 quiet edd=off panic=-1 systemd.show_status=0",
		"-drive", "file=" + filepath.Join(o.image, "root.img") + ",if=virtio,format=raw,snapshot=on,cache=unsafe",
		"-drive", "file=" + o.disk + ",if=virtio,format=raw,readonly=on",
		"-serial", "file:" + o.console, "-serial", "stdio",
	}
}

// reading is what was read of the report.
type reading struct {
	out    io.Writer
	began  time.Time
	steps  int
	failed []string
	step   string
	ended  bool
}

func (r *reading) read(lines io.Reader) {
	s := bufio.NewScanner(lines)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if l, ok := report.Parse(s.Bytes()); ok {
			r.take(l)
		}
	}
}

// take shows a line of the report.
func (r *reading) take(l report.Line) {
	text := strings.ReplaceAll(strings.TrimSpace(l.Text), "\n", "\n          ")
	switch l.Kind {
	case report.Begin:
		r.step = l.Step
	case report.Pass:
		r.steps++
		fmt.Fprintf(r.out, "  ok    %6.1f s  %s\n", l.Seconds, l.Step)
	case report.Fail:
		r.steps++
		r.failed = append(r.failed, l.Step)
		fmt.Fprintf(r.out, "  FAIL  %6.1f s  %s\n          %s\n", l.Seconds, l.Step, text)
	case report.Note:
		fmt.Fprintf(r.out, "  note            %s\n", text)
	case report.End:
		r.ended = true
		fmt.Fprintf(r.out, "  end   %6.1f s since the machine was switched on\n", time.Since(r.began).Seconds())
	}
}
