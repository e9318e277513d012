package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens/remedy"
)

// daemon is what tokenctl needs of the daemon: ipc.Backend without the
// principal, which the kernel tells the daemon. ipc/client implements it.
type daemon interface {
	// Name is what events call this program's requests.
	Name() string

	Status(ctx context.Context) (ipc.Status, error)
	Events(ctx context.Context, send func(ipc.Event) error) error
	Doctor(ctx context.Context) (ipc.Findings, error)
	AuditEntries(ctx context.Context, q ipc.AuditQuery) (ipc.AuditPage, error)
	CheckpointAudit(ctx context.Context) (ipc.AuditCheckpoint, error)
	VerifyAudit(ctx context.Context, r ipc.VerifyAuditRequest) (ipc.AuditVerdict, error)

	Init(ctx context.Context, r ipc.InitRequest) (ipc.InitResult, error)
	Unlock(ctx context.Context, r ipc.UnlockRequest) (ipc.UnlockResult, error)
	Lock(ctx context.Context) error
	RecoverVault(ctx context.Context, r ipc.RecoverVaultRequest) (ipc.RecoverVaultResult, error)
	Leaving(ctx context.Context) (ipc.Leaving, error)
	Purge(ctx context.Context, r ipc.PurgeRequest) (ipc.PurgeResult, error)

	Accounts(ctx context.Context) (ipc.AccountList, error)
	Account(ctx context.Context, id string) (ipc.Account, error)
	AddAccounts(ctx context.Context, r ipc.AddAccountsRequest) (ipc.AccountList, error)
	ImportAccounts(ctx context.Context, r ipc.ImportRequest) (ipc.Plan, error)
	Undos(ctx context.Context) (ipc.UndoList, error)
	Undo(ctx context.Context, r ipc.UndoRequest) (ipc.Plan, error)
	EditAccount(ctx context.Context, id string, r ipc.EditAccountRequest) (ipc.Account, error)
	MoveAccount(ctx context.Context, id string, r ipc.MoveAccountRequest) (ipc.AccountList, error)
	RemoveAccounts(ctx context.Context, r ipc.RemoveAccountsRequest) (ipc.RemoveAccountsResult, error)
	RevealAccount(ctx context.Context, id string, r ipc.RevealRequest) (ipc.Reveal, error)
	ExportAccounts(ctx context.Context, r ipc.ExportRequest) (ipc.Export, error)
	Code(ctx context.Context, ref string, r ipc.CodeRequest) (ipc.Code, error)

	Tokens(ctx context.Context) (ipc.TokenList, error)
	TokenInfo(ctx context.Context, id string) (ipc.TokenInfo, error)
	EnrollToken(ctx context.Context, r ipc.EnrollRequest) (ipc.EnrollResult, error)
	RevokeToken(ctx context.Context, id string, r ipc.RevokeRequest) (ipc.RevokeResult, error)
	TestToken(ctx context.Context, id string, r ipc.TestTokenRequest) (ipc.TestTokenResult, error)
	RenameToken(ctx context.Context, id string, r ipc.RenameTokenRequest) (ipc.Token, error)
	ChangePIN(ctx context.Context, id string, r ipc.ChangePINRequest) error
	WipeToken(ctx context.Context, id string, r ipc.WipeTokenRequest) (ipc.WipeTokenResult, error)
	MakeSecurityKey(ctx context.Context, r ipc.MakeSecurityKeyRequest) (ipc.MadeSecurityKey, error)

	SetRecoveryPassword(ctx context.Context, r ipc.SetRecoveryRequest) (ipc.RecoveryResult, error)
	DeclineRecovery(ctx context.Context) error
	CheckRecovery(ctx context.Context, r ipc.CheckRecoveryRequest) (ipc.CheckRecoveryResult, error)
	ShowRecoveryKey(ctx context.Context, r ipc.ShowRecoveryKeyRequest) (ipc.RecoveryKey, error)
	RotateRecovery(ctx context.Context, r ipc.SetRecoveryRequest) (ipc.RecoveryResult, error)

	CreateBackup(ctx context.Context) (ipc.Backup, error)
	ConfirmBackup(ctx context.Context, r ipc.ConfirmBackupRequest) (ipc.ConfirmBackupResult, error)
	InspectBackup(ctx context.Context, r ipc.InspectBackupRequest) (ipc.BackupContents, error)
	DrillBackup(ctx context.Context, r ipc.DrillRequest) (ipc.DrillResult, error)
	RestoreBackup(ctx context.Context, r ipc.RestoreBackupRequest) (ipc.RestoreResult, error)
	MergeBackup(ctx context.Context, r ipc.MergeBackupRequest) (ipc.Plan, error)

	BackupList(ctx context.Context) (ipc.BackupList, error)
	BackupStatus(ctx context.Context) (ipc.BackupStatus, error)
	Destinations(ctx context.Context) (ipc.DestinationList, error)
	AddDestination(ctx context.Context, r ipc.AddDestinationRequest) (ipc.Destination, error)
	RemoveDestination(ctx context.Context, id string, r ipc.RemoveDestinationRequest) (ipc.DestinationList, error)
	PlanBackupRun(ctx context.Context, r ipc.BackupRunRequest) (ipc.BackupRun, error)
	SpooledBackup(ctx context.Context, r ipc.SpooledBackupRequest) (ipc.Backup, error)
	ReportBackupRun(ctx context.Context, r ipc.BackupRunReport) (ipc.BackupStatus, error)
	AgreeToDrop(ctx context.Context, r ipc.AgreeToDropRequest) (ipc.BackupStatus, error)

	Grants(ctx context.Context) (ipc.GrantList, error)
	SetGrantMode(ctx context.Context, r ipc.SetGrantModeRequest) (ipc.GrantList, error)
	AllowGrant(ctx context.Context, r ipc.AllowRequest) (ipc.GrantList, error)
	RevokeGrants(ctx context.Context, r ipc.RevokeGrantsRequest) (ipc.GrantList, error)
	Agent(ctx context.Context, can string, receive func(ipc.Event) error) error
	AnswerAgent(ctx context.Context, r ipc.AgentAnswer) error

	managedDevice
	authorityDesk
}

// cli is one run of the program: its streams, what the global flags say, and
// the connection once there is one.
type cli struct {
	in     *os.File
	out    io.Writer
	err    io.Writer
	inTTY  bool
	outTTY bool
	errTTY bool
	// outWidth and outHeight are how many columns and lines the terminal on out
	// has; 0 when not known.
	outWidth  func() int
	outHeight func() int
	errWidth  func() int // of the terminal on err
	getenv    func(string) string
	now       func() time.Time
	dial      func(socket string) daemon

	socket  string // --socket
	json    bool   // --json
	noInput bool   // --no-input

	// heedSignals makes Ctrl-C end the run's context from now on; it can be called
	// again.
	heedSignals func()
	// stdinTaken is the flag whose secret was read from standard input.
	stdinTaken string
	connecting sync.Mutex // guards conn
	conn       daemon
	// touches is how many touches were asked for by now, of each token.
	touches map[string]int
	// warned is how many warnings were shown.
	warned int
	// ran is the command that was run, as it is typed.
	ran string
}

// newCLI is a cli on the process's own streams.
func newCLI() *cli {
	return &cli{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		inTTY:     term.IsTerminal(int(os.Stdin.Fd())),
		outTTY:    term.IsTerminal(int(os.Stdout.Fd())),
		errTTY:    term.IsTerminal(int(os.Stderr.Fd())),
		outWidth:  func() int { w, _ := screen(); return w },
		outHeight: func() int { _, h := screen(); return h },
		errWidth:  func() int { w, _, _ := term.GetSize(int(os.Stderr.Fd())); return max(0, w) },
		getenv:    os.Getenv,
		now:       time.Now,
		dial:      dialClient,

		heedSignals: func() {},
	}
}

func screen() (w, h int) {
	w, h, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return 0, 0
	}
	return w, h
}

// daemon connects when it is first needed: connecting costs nothing until a
// call is made, and a command that fails early never comes here.
func (c *cli) daemon() daemon {
	c.connecting.Lock() // a call and what listens meanwhile both come here
	defer c.connecting.Unlock()
	if c.conn == nil {
		c.conn = c.dial(c.socket)
	}
	return c.conn
}

// canAsk says whether there is a person to be asked: both the stream that is
// read and the one that shows the question must be terminals.
func (c *cli) canAsk() bool { return c.inTTY && c.errTTY && !c.noInput }

// say writes a line for a person to standard error. A terminal gets it broken
// between words.
func (c *cli) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if c.errTTY && c.errWidth != nil {
		text = strings.Join(broken(text, c.errWidth()), "\n")
	}
	_, _ = fmt.Fprintln(c.err, text)
}

// print writes a line of the result to standard output.
func (c *cli) print(format string, args ...any) {
	_, _ = fmt.Fprintf(c.out, format+"\n", args...)
}

// printJSON writes a document of the API to standard output, indented for a
// person's eye only on a terminal.
func (c *cli) printJSON(doc any) error {
	enc := json.NewEncoder(c.out)
	enc.SetEscapeHTML(false)
	if c.outTTY {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(doc); err != nil {
		return problem(ipc.Internal, "write the answer", err)
	}
	return nil
}

// version is set by the linker; a build without it says what the module knows.
var version = ""

// buildVersion is what this program calls itself.
func buildVersion() string {
	if version != "" {
		return version
	}
	if b, ok := debug.ReadBuildInfo(); ok && b.Main.Version != "" && b.Main.Version != "(devel)" {
		return b.Main.Version
	}
	return "devel"
}

// warn shows what the daemon says is weak, each with the command that mends it.
// What tokens have from the factory is one line: it is true of every new one, and
// must not bury the rest.
func (c *cli) warn(warnings []ipc.Warning) {
	factory := 0
	for _, w := range warnings {
		if strings.HasPrefix(w.Code, "factory-") {
			factory++
			continue
		}
		c.warnAll([]ipc.Warning{w})
	}
	if c.warned += factory; factory > 0 {
		c.say("warning: a token still has its factory PIN, PUK or management key (%d in all)", factory)
		c.say("  mend it: %s", adviceFactory)
	}
}

// warnAll shows every warning.
func (c *cli) warnAll(warnings []ipc.Warning) {
	c.warned += len(warnings)
	for _, w := range warnings {
		c.say("warning: %s", clean(w.Message))
		if w.Fix != "" {
			c.say("  mend it: %s", clean(remedy.Typed(w.Fix)))
		}
	}
}

// announceAfter is how long a call may take before the person is told what it
// waits for: nobody feels a tenth of a second, and most calls need no more
// than one hundredth of that.
const announceAfter = 100 * time.Millisecond
