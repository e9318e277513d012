//go:build linux

// Command bench measures the built programs and compares them, within one run
// and on the same machine, with what people use otherwise and with the least
// that such a program could cost. It prints a table in Markdown; figures are
// reported, never asserted.
//
//	go run ./packaging/bench -bin bin [-only WORD] [-quick]
//
// It uses a state folder, a password store and a gpg home of its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	bin := flag.String("bin", "bin", "folder of tokend, tokenctl and tokend-helper")
	only := flag.String("only", "", "measure only what has this word in its name")
	quick := flag.Bool("quick", false, "fewer repetitions, to try the program itself")
	flag.Parse()
	if flag.Arg(0) == "bare-server" {
		fail(serveBare(flag.Arg(1)))
		return
	}
	if flag.Arg(0) == "codes" {
		fail(askCodes(flag.Arg(1), os.Stdin, os.Stdout))
		return
	}
	if flag.Arg(0) == "compute" {
		compute(os.Stdin)
		return
	}
	if flag.Arg(0) == "bare-bus" {
		fail(serveBareBus(flag.Arg(1)))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	fail(run(ctx, options{bin: *bin, only: *only, quick: *quick}))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	bin, only string
	quick     bool
}

// bench is one run.
type bench struct {
	options
	dir  string // everything of the run lies in it
	rows []row
}

// row is one figure.
type row struct {
	what, figure, compared, ratio, goal string
}

// times is n, or less when it must be quick.
func (b *bench) times(n int) int {
	if b.quick {
		return max(3, n/20)
	}
	return n
}

func (b *bench) add(what, figure, compared, ratio, goal string) {
	b.rows = append(b.rows, row{what, figure, compared, ratio, goal})
	fmt.Fprintf(os.Stderr, "  %s: %s %s %s\n", what, figure, compared, ratio)
}

func run(ctx context.Context, o options) (err error) {
	if o.bin, err = filepath.Abs(o.bin); err != nil {
		return err
	}
	// Sockets' paths are short: not below a deep work folder.
	dir, err := os.MkdirTemp("", "tokend-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, dir: dir}
	if err := b.install(); err != nil {
		return err
	}
	for _, m := range []struct {
		name    string
		measure func(context.Context) error
	}{
		{"roundtrip", b.roundTrip},
		{"bus", b.bus},
		{"process", b.process},
		{"unlock", b.unlock},
		{"start", b.start},
		{"memory", b.memory},
		{"fsync", b.fsync},
		{"enroll", b.enroll},
		{"backup", b.backup},
	} {
		if !strings.Contains(m.name, o.only) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s\n", m.name)
		if err := m.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	b.print()
	return nil
}

// install copies the programs as a package's installation does. What a linker
// has just written lies in the page cache in small pieces, and starts up to a
// millisecond slower than what is installed.
func (b *bench) install() error {
	to := filepath.Join(b.dir, "bin")
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	for _, name := range []string{"tokend", "tokenctl", "tokend-helper"} {
		data, err := os.ReadFile(filepath.Join(b.bin, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), data, 0o700); err != nil {
			return err
		}
	}
	b.bin = to
	return nil
}

// print writes the table, with the machine it is from.
func (b *bench) print() {
	fmt.Printf("%s\n\n", machine())
	fmt.Println("| what | measured | compared with | ratio | goal |")
	fmt.Println("|---|---|---|---|---|")
	for _, r := range b.rows {
		fmt.Printf("| %s | %s | %s | %s | %s |\n", r.what, r.figure, r.compared, r.ratio, r.goal)
	}
}
