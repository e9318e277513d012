package daemon_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon"
	"github.com/tokenbridge/tokend/ipc"
)

// BenchmarkCodesDuringBackups makes codes of a vault of 10,000 accounts while
// backups of it are made, opened and compared one after the other: what a code
// takes then, and what a backup does.
func BenchmarkCodesDuringBackups(b *testing.B) {
	d, err := daemon.New(daemon.Config{StateDir: filepath.Join(b.TempDir(), "state"), Mode: daemon.ModeSystem, ScryptLogN: cheapLogN})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	who, ctx := caller("1000"), b.Context()
	if _, err := d.Init(ctx, who, ipc.InitRequest{RecoveryPassword: secretOf(recovery)}); err != nil {
		b.Fatal(err)
	}
	for part := range 10 {
		var r ipc.AddAccountsRequest
		for i := range 1000 {
			r.Accounts = append(r.Accounts, ipc.NewAccount{
				Issuer: fmt.Sprint("Service ", part), Name: fmt.Sprintf("user%d-%d@example.com", part, i), Secret: secretOf("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
			})
		}
		if _, err := d.AddAccounts(ctx, who, r); err != nil {
			b.Fatal(err)
		}
	}
	list, err := d.Accounts(ctx, who)
	if err != nil {
		b.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan []time.Duration)
	go func() {
		var took []time.Duration
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- took
				return
			default:
			}
			note := fmt.Sprint(i)
			if _, err := d.EditAccount(ctx, who, list.Accounts[0].ID, ipc.EditAccountRequest{Note: &note}); err != nil {
				b.Error(err)
			}
			start := time.Now()
			if _, err := d.PlanBackupRun(ctx, who, ipc.BackupRunRequest{}); err != nil {
				b.Error(err)
			}
			took = append(took, time.Since(start))
			time.Sleep(time.Second) // 30 times as often as in earnest
		}
	}()
	var codes []time.Duration
	b.ResetTimer()
	for i := range b.N {
		start := time.Now()
		if _, err := d.Code(ctx, who, list.Accounts[i%10_000].ID, ipc.CodeRequest{}); err != nil {
			b.Fatal(err)
		}
		codes = append(codes, time.Since(start))
		time.Sleep(200 * time.Microsecond)
	}
	b.StopTimer()
	close(stop)
	backups := <-done
	slices.Sort(codes)
	slices.Sort(backups)
	b.ReportMetric(float64(codes[len(codes)*99/100].Microseconds()), "p99-µs/code")
	b.ReportMetric(float64(codes[len(codes)-1].Microseconds()), "max-µs/code")
	b.ReportMetric(float64(backups[len(backups)/2].Microseconds())/1000, "ms/backup")
}
