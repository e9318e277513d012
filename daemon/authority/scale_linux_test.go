package authority

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/fob"
	"github.com/tokenbridge/tokend/daemon/authority/store"
	"github.com/tokenbridge/tokend/daemon/otp"
)

// scale is how many fobs the registry of the benchmark has: TOKEND_TEST_FOBS, or
// 100,000.
func scale(b *testing.B) int {
	n := 100_000
	if s := os.Getenv("TOKEND_TEST_FOBS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < MaxPage {
			b.Fatalf("TOKEND_TEST_FOBS is %q", s)
		}
	}
	return n
}

func scaleSeed(i int) Seed {
	secret := make([]byte, 20)
	binary.BigEndian.PutUint64(secret, uint64(i)*0x9e3779b97f4a7c15)
	return Seed{Serial: fmt.Sprintf("S%08d", i), Type: fob.HOTP, Secret: secret, Maker: "Example Fobs", Model: "Model 1"}
}

func scaleCode(i int, counter uint64) []byte {
	v, err := otp.HOTP(scaleSeed(i).Secret, otp.Params{Type: otp.TypeHOTP, Algorithm: otp.SHA1, Digits: 6}, counter)
	if err != nil {
		panic(err)
	}
	return []byte(v.String())
}

func userOf(i int) string { return fmt.Sprintf("user%08d@example.org", i) }

// populate gives each fob a user, many in one transaction.
func populate(b *testing.B, a *Authority, n int) {
	for first := 0; first < n; first += MaxPage {
		err := a.store.Update(func(tx *store.Tx) error {
			for i := first; i < min(n, first+MaxPage); i++ {
				id, fr, err := a.findFob(tx, scaleSeed(i).Serial)
				if err != nil {
					return err
				}
				uid, u := newID(), userRecord{Name: userOf(i), Display: "User of the benchmark", Email: userOf(i), Roles: withUser(nil)}
				if err := a.takeNames(tx, uid, userRecord{}, u); err != nil {
					return err
				}
				if err := a.give(tx, id, &fr, uid, u); err != nil {
					return err
				}
				if err := tx.Put(fobsBucket, id[:], fr); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// resident is the memory of this process, in MB: all of it, and what is the
// mapped file.
func resident(b *testing.B) (all, file float64) {
	runtime.GC()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, _ := strconv.ParseFloat(f[1], 64)
		switch f[0] {
		case "VmRSS:":
			all = kb / 1024
		case "RssFile:":
			file = kb / 1024
		}
	}
	return all, file
}

// scaled makes a registry of n fobs and users in a folder of its own below where.
func scaled(b *testing.B, where string, n int) (a *Authority, dir string) {
	dir, err := os.MkdirTemp(where, "tokend-scale")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	key := store.KeyFile(filepath.Join(dir, "key"))
	if err := key.Create(); err != nil {
		b.Fatal(err)
	}
	a, err = Create("owner", scaleOptions(dir), Profile{Name: "x"})
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	for first := 0; first < n; first += MaxPage {
		page := make([]Seed, 0, MaxPage)
		for i := first; i < min(n, first+MaxPage); i++ {
			page = append(page, scaleSeed(i))
		}
		if _, err := a.ImportFobs("owner", page); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%d fobs were imported in %.1f s", n, time.Since(began).Seconds())
	populate(b, a, n)
	return a, dir
}

func scaleOptions(dir string) Options {
	return Options{Dir: filepath.Join(dir, "authority"), Key: store.KeyFile(filepath.Join(dir, "key")), Audit: silent{},
		Wait: func(context.Context, time.Duration) error { return nil }}
}

// BenchmarkScale measures a large registry: import, opening, verification with
// one client and with many, on a disk (in TMPDIR) and in memory, where fsync costs
// nothing; listing; memory.
func BenchmarkScale(b *testing.B) {
	n := scale(b)
	for name, where := range map[string]string{"disk": os.TempDir(), "memory": "/dev/shm"} {
		b.Run(name, func(b *testing.B) { benchmarkScale(b, where, n) })
	}
}

func benchmarkScale(b *testing.B, where string, n int) {
	a, dir := scaled(b, where, n)
	if err := a.Close(); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	a, err := Open(scaleOptions(dir))
	if err != nil {
		b.Fatal(err)
	}
	opened := time.Since(began)
	defer func() { _ = a.Close() }()
	size, _ := a.Size()
	all, file := resident(b)
	b.Logf("%d fobs and users: opened in %.1f ms, file %.0f MB, memory %.0f MB of which %.0f MB mapped files",
		n, opened.Seconds()*1e3, float64(size)/(1<<20), all, file)
	var counters = make([]uint64, n)
	next := 0
	for _, clients := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("verify-%d", clients), func(b *testing.B) { next = verifyMany(b, a, clients, counters, next) })
	}
	b.Run("wrong", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			at := Attempt{Service: "vpn", User: userOf(i * 7919 % n), Passcode: []byte("000000")}
			if _, err := a.Verify(b.Context(), at); err != nil {
				b.Fatal(err)
			}
		}
	})
	began = time.Now()
	page, err := a.Fobs(FobQuery{})
	if err != nil || len(page.Fobs) != MaxPage {
		b.Fatal(err)
	}
	firstPage := time.Since(began)
	began = time.Now()
	if _, err = a.Fobs(FobQuery{After: page.Next}); err != nil {
		b.Fatal(err)
	}
	all, file = resident(b)
	b.Logf("first page of the list %.0f ms, second %.1f ms; memory after all %.0f MB of which %.0f MB mapped files",
		firstPage.Seconds()*1e3, time.Since(began).Seconds()*1e3, all, file)
}

// verifyMany verifies b.N passcodes, each of another fob than the one before.
func verifyMany(b *testing.B, a *Authority, clients int, counters []uint64, first int) (next int) {
	type attempt struct {
		user string
		code []byte
	}
	attempts := make([]attempt, b.N)
	for i := range attempts {
		f := (first + i) * 7919 % len(counters)
		attempts[i] = attempt{userOf(f), scaleCode(f, counters[f])}
		counters[f]++
	}
	took := make([]time.Duration, b.N)
	var at, failed atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			for i := at.Add(1) - 1; i < int64(len(attempts)); i = at.Add(1) - 1 {
				began := time.Now()
				v, err := a.Verify(b.Context(), Attempt{Service: "vpn", User: attempts[i].user, Passcode: attempts[i].code})
				took[i] = time.Since(began)
				if err != nil || !v.Accepted {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	if failed.Load() > int64(b.N/1000) { // the passcode of an attempt may overtake the one before
		b.Errorf("%d of %d were not accepted", failed.Load(), b.N)
	}
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "verify/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "p99-ms")
	return first + b.N
}
