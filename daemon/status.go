package daemon

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/tokenbridge/tokend/daemon/vault"
	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/tokens"
)

// Status implements [ipc.Reporter]. It neither touches a token nor extends the
// idle limit.
func (d *Daemon) Status(ctx context.Context, p ipc.Principal) (ipc.Status, error) {
	u, err := d.user(&p)
	if err != nil {
		return ipc.Status{}, err
	}
	u.recognise(ctx, p)
	authority := d.authority(p)
	return ipc.Status{
		Version: ipc.Version,
		Daemon: ipc.Daemon{
			Version: d.cfg.Version, Mode: string(d.cfg.Mode), PID: os.Getpid(), Socket: d.cfg.Socket,
			Time: wireTime(d.now()), Started: wireTime(d.started), Helper: d.helper(), Bus: d.bus(), Config: d.configState(p),
		},
		Vault: u.vaultInfo(), Tokens: u.tokenList(p), Warnings: append(u.warnings(p), authorityWarnings(authority)...),
		Backups: u.backupSummary(), Grants: u.grantState(), Authority: authority,
	}, nil
}

// helperWarning is for a helper that cannot be used, for which no token can.
func helperWarning(state string) ipc.Warning {
	return ipc.Warning{Code: "helper", Message: "tokens cannot be used: " + state, Fix: "tokenctl doctor"}
}

// helper says whether tokens can be used.
func (d *Daemon) helper() string {
	if d.cfg.Helper == nil {
		return "ok"
	}
	return d.cfg.Helper()
}

// bus says how it is with the message bus, empty where there is none.
func (d *Daemon) bus() string {
	if d.cfg.Bus == nil {
		return ""
	}
	return d.cfg.Bus()
}

// vaultInfo is how the user's vault is.
func (u *user) vaultInfo() ipc.Vault {
	store, err := u.storeIfAny()
	if err != nil {
		return ipc.Vault{State: ipc.VaultBroken, Problem: told(mapError(err))}
	}
	if store == nil || !store.Exists() {
		info := ipc.Vault{State: ipc.VaultNone}
		if s, err := u.open(false); err == nil { // its files went while it was open
			u.openInfo(&info, s)
			info.Problem = told(errFilesGone(nil))
		}
		return info
	}
	info := ipc.Vault{State: ipc.VaultIsLocked, LastBackup: wireTime(u.notesOf().get().LastBackup)}
	if head, err := store.Head(); err != nil {
		info.State, info.Problem = ipc.VaultBroken, told(mapError(err))
		if known, err := store.Known(); err == nil { // the vault that should be there
			info.ID, info.Signer, info.Epoch, info.Generation = known.VaultID, known.Signer, known.Epoch, known.Generation
		}
	} else {
		info.ID, info.Epoch, info.Generation = head.VaultID, head.Epoch, head.Generation
		info.Signer, info.RecoverySet = head.Signer, wireTime(head.RecoverySet)
		info.RecoveryChecked = u.recoveryChecked(head.RecoverySet)
		if head.Problem != nil {
			// Something before it is intact, or Head had failed: unlocking shows that.
			info.Problem = told(u.newestDamaged(head))
		}
	}
	if problem := u.problem.Load(); problem != nil && info.State == ipc.VaultIsLocked {
		info.State, info.Problem = ipc.VaultBroken, told(problem)
	}
	if s, err := u.open(false); err == nil {
		u.openInfo(&info, s)
	}
	return info
}

// openInfo adds what only an open vault tells.
func (u *user) openInfo(info *ipc.Vault, s *session) {
	info.State = ipc.VaultUnlocked
	if s.vault.ReadOnly() {
		info.State = ipc.VaultReadOnly
	} else {
		info.Problem = nil
	}
	info.ID, info.Epoch, info.Generation = s.vault.ID(), s.vault.Epoch(), s.vault.Generation()
	info.Signer, info.UnlockedBy, info.UnlockedAt = s.vault.Signer(), s.by, wireTime(s.wall)
	for _, slot := range s.vault.Slots() {
		if slot.ID == s.slot { // which may have been renamed since
			info.UnlockedBy = slotRef(slot).Label
		}
	}
	now, elapsed, limits := u.d.now().Round(0), u.d.clock.Elapsed(), u.d.limits.Load()
	idle := now.Add(limits.Idle - u.sinceUse(s, elapsed))
	hard := s.wall.Add(limits.Hard)
	if other := now.Add(limits.Hard - (elapsed - s.start)); other.Before(hard) {
		hard = other
	}
	if idle.After(hard) {
		idle = hard
	}
	info.IdleLock, info.HardLock = wireTime(idle), wireTime(hard)
	x := s.index.Load()
	info.Accounts = len(x.list)
	info.AskRecovery = !s.vault.ReadOnly() && u.asksRecovery(x.list, s.vault.RecoverySet())
	for _, a := range x.list {
		if a.Class == tokens.ClassTouch {
			info.Touch++
		}
		if a.Inactive {
			info.Inactive++
		}
	}
}

// told is an error as a part of an answer: without its cause.
func told(e *ipc.Error) *ipc.Error {
	c := *e
	c.Err = nil
	return &c
}

// warnings is what the user should know of and can mend, each with the command
// that does.
func (u *user) warnings(p ipc.Principal) []ipc.Warning {
	list := []ipc.Warning{}
	if state := u.d.helper(); state != "ok" {
		list = append(list, helperWarning(state))
	} else {
		list = append(list, u.serviceWarnings(p)...)
	}
	list = append(list, u.accessWarnings(p)...)
	if state := u.d.bus(); state != "" && state != "ok" {
		list = append(list, ipc.Warning{Code: "bus", Message: "the daemon does not serve on D-Bus: " + state, Fix: "tokenctl doctor"})
	}
	config := u.d.configState(p)
	list = append(list, u.d.configWarnings(config)...)
	list = append(list, u.d.failureWarnings(config)...)
	store, err := u.storeIfAny()
	if err != nil || store == nil || !store.Exists() {
		if err == nil && u.sess.Load() != nil {
			list = append(list, ipc.Warning{Code: "vault-gone", Message: errFilesGone(nil).Message, Fix: "tokenctl account show ACCOUNT --qr"})
		}
		return list
	}
	if s := u.sess.Load(); s != nil && s.vault.ReadOnly() {
		list = append(list, u.warnReadOnly(s.vault))
	}
	head, err := store.Head()
	if err != nil {
		return append(list, ipc.Warning{Code: "vault-damaged", Message: mapError(err).Message, Fix: u.wayBack()})
	}
	return append(append(list, u.grantWarnings()...), u.lockoutWarnings(head, p)...)
}

// wayBack is the command for a vault that cannot be used as it is.
func (u *user) wayBack() string {
	if store, err := u.storeIfAny(); err == nil && store != nil {
		if _, err := store.RecoverHead(); err != nil { // nothing to go back to
			return "tokenctl backup restore FILE"
		}
	}
	return "tokenctl vault recover"
}

// lockoutWarnings is about losing the way back, and about weak tokens.
func (u *user) lockoutWarnings(head vault.Head, p ipc.Principal) []ipc.Warning {
	var list []ipc.Warning
	if len(head.Slots) == 0 {
		list = append(list, ipc.Warning{
			Code: "recovery-only", Message: "the recovery password alone opens the vault",
			Fix: u.enrollFix(p),
		})
	}
	if head.RecoverySet.IsZero() {
		if len(head.Slots) == 1 {
			list = append(list, ipc.Warning{
				Code: "single-token", Message: "one token is the only way to open the vault",
				Fix: u.enrollFix(p),
			})
		}
		list = append(list, ipc.Warning{
			Code: "no-recovery-password", Message: "no recovery password is set",
			Fix: "tokenctl recovery set-password",
		})
	}
	if w, due := u.recoveryReminder(head); due {
		list = append(list, w)
	}
	list = append(list, u.backupWarnings()...)
	for _, t := range u.tokenList(p) {
		if t.Enrolled {
			list = append(list, t.Warnings...)
		}
	}
	return list
}

func (u *user) warnReadOnly(v *vault.Vault) ipc.Warning {
	return ipc.Warning{
		Code:    "read-only",
		Message: "the newest generation of the vault is damaged; " + u.whichGeneration(v.Generation(), v.Written()) + " is open for reading only",
		Fix:     "tokenctl vault recover",
	}
}

// enrollFix is the command that enrols a better token, or another one: it names
// the kind of the tokens that are present and could be enrolled, where that is one.
func (u *user) enrollFix(p ipc.Principal) string {
	const fix = "tokenctl token enroll"
	if !u.d.mayUseTokens(p) {
		return fix
	}
	var kind tokens.Kind
	for _, t := range u.d.presence.all() {
		switch {
		case u.enrolled(t) || t.Problem != nil && t.Problem.Code == tokens.CodeUnsupported, t.Kind == kind:
		case kind != "":
			return fix
		default:
			kind = t.Kind
		}
	}
	if kind == "" {
		return fix
	}
	return fix + " --token " + string(kind)
}

// tokenWarning says what is weak about a token; enroll is what enrols a better
// one, or this one better.
func tokenWarning(w tokens.Warning, t ipc.Token, enroll string) ipc.Warning {
	out := ipc.Warning{Code: string(w)}
	switch w {
	case tokens.WarnFactoryPIN:
		out.Message = fmt.Sprintf("token %q still has its factory PIN", t.Label)
		out.Fix = "tokenctl token pin " + t.ID
	case tokens.WarnFactoryPUK:
		out.Message = fmt.Sprintf("token %q still has its factory PUK", t.Label)
		out.Fix = "tokenctl token pin " + t.ID + " --puk"
	case tokens.WarnFactoryKey:
		out.Message = fmt.Sprintf("token %q still has its factory management key", t.Label)
		out.Fix = "ykman " + ykmanDevice(t) + "piv access change-management-key --generate --protect"
	case tokens.WarnUnknownPolicy:
		out.Message = fmt.Sprintf("token %q does not tell when it asks for a PIN or a touch", t.Label)
	case tokens.WarnNoTouch:
		out.Message = fmt.Sprintf("token %q cannot guard accounts by touch", t.Label)
	case tokens.WarnNoPIN:
		out.Message = fmt.Sprintf("token %q opens the vault without a PIN: whoever holds it needs nothing else; set a PIN, revoke it, and enrol it again", t.Label)
		out.Fix = enroll
	case tokens.WarnPINBypass:
		out.Message = fmt.Sprintf("token %q gives its secret without its PIN, too: whoever holds it and a copy of the vault opens the vault", t.Label)
	case tokens.WarnNotHardware:
		out.Code = "software-token"
		out.Message = fmt.Sprintf("token %q is a software token, not hardware", t.Label)
		if t.Label == softLabel {
			out.Message = "the token is a software token, not hardware"
		}
		out.Fix = insteadOf(t.ID, enroll)
	default:
		out.Message = fmt.Sprintf("token %q: %s", t.Label, w)
	}
	return out
}

// ykmanDevice is the flag by which ykman takes t among several.
func ykmanDevice(t ipc.Token) string {
	if t.Serial == "" || strings.ContainsFunc(t.Serial, func(r rune) bool { return r < '0' || r > '9' }) {
		return ""
	}
	return "--device " + t.Serial + " "
}
