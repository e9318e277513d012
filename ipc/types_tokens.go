package ipc

// Token is a token: enrolled, present, or both.
type Token struct {
	// ID is the keyslot id of an enrolled token, else the id of the present one.
	ID       string `json:"id"`
	Kind     string `json:"kind"` // "piv", "fido2", "soft"
	Label    string `json:"label"`
	Model    string `json:"model,omitempty"`
	Serial   string `json:"serial,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	Locator  string `json:"locator,omitempty"` // reader or device, while present
	Enrolled bool   `json:"enrolled"`
	// NoPIN says that no PIN is set on it, while it is present.
	NoPIN    bool     `json:"no_pin,omitempty"`
	Present  bool     `json:"present"`
	Hardware bool     `json:"hardware"`
	Classes  []string `json:"classes"` // of the keyslot
	Slots    []string `json:"slots,omitempty"`
	// Left are the PIV slots of a present token that hold keys of a revoked
	// keyslot, of an interrupted enrolment, or of a vault that was purged.
	Left []string `json:"left,omitempty"`
	// Added is when it was enrolled; LastUsed when it last opened the vault.
	Added    Time      `json:"added,omitzero"`
	LastUsed Time      `json:"last_used,omitzero"`
	Problem  *Error    `json:"problem,omitempty"`
	Warnings []Warning `json:"warnings,omitempty"`
}

// TokenList is the caller's keyslots and the tokens present.
type TokenList struct {
	Version int     `json:"version"`
	Tokens  []Token `json:"tokens"`
	// Warnings say why tokens may be missing from the list.
	Warnings []Warning `json:"warnings,omitempty"`
}

// TokenInfo is what can be read from a token now. Counts below zero are unknown.
type TokenInfo struct {
	Version       int   `json:"version"`
	Token         Token `json:"token"`
	PINTries      int   `json:"pin_tries"`
	PUKTries      int   `json:"puk_tries"`
	FactoryPIN    bool  `json:"factory_pin"`
	FactoryPUK    bool  `json:"factory_puk"`
	FactoryKey    bool  `json:"factory_management_key"`
	Attested      bool  `json:"attested"`
	AttestationOK bool  `json:"attestation_verified"`
	// Maker and MakerModel are what the attestation says; MakerModel is the
	// AAGUID of a FIDO2 key.
	Maker      string `json:"maker,omitempty"`
	MakerModel string `json:"maker_model,omitempty"`
	// Facts are what else the token tells of itself, for people.
	Facts []TokenFact `json:"facts,omitempty"`
	Keys  []TokenKey  `json:"keys"`
	// Backups are the confirmed ones that an enrolled token opens.
	Backups []string `json:"backups,omitempty"`
}

// TokenFact is something that a token tells of itself.
type TokenFact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// TokenKey is a key seen on a token.
type TokenKey struct {
	Slot        string `json:"slot"`
	Algorithm   string `json:"algorithm"`
	PINPolicy   string `json:"pin_policy"`
	TouchPolicy string `json:"touch_policy"`
	Attested    bool   `json:"attested"`
	// Ours says that a keyslot of the vault uses it.
	Ours bool `json:"ours"`
	// Left says that it is of a revoked keyslot, of an interrupted enrolment, or of
	// a vault that was purged: it opens nothing here any more.
	Left bool `json:"left,omitempty"`
	// Made says that the token shows that an enrolment made it, for whatever vault.
	Made bool `json:"made,omitempty"`
}

// EnrollRequest makes a keyslot.
type EnrollRequest struct {
	// Auth opens the vault anew, or the touch class where the new keyslot is to
	// open accounts in it: an unlocked vault is not enough to change who can
	// open it. Not looked at when the vault is being made.
	Auth Auth   `json:"auth,omitzero"`
	Kind string `json:"kind"`
	// Locator is a token's id or serial number, a reader (or a unique part of its
	// name) or device path; empty when only one fits that is not enrolled yet.
	Locator string `json:"locator,omitempty"`
	Label   string `json:"label,omitempty"`
	// PIN is the new token's PIN, or the software token's new passphrase.
	PIN          Secret `json:"pin,omitempty"`
	SpendLastTry bool   `json:"spend_last_try,omitempty"`
	// Classes is all the token can do when empty.
	Classes []string `json:"classes,omitempty"`
	// SessionSlot and TouchSlot are PIV slots, "82" and "83" when empty.
	SessionSlot string `json:"session_slot,omitempty"`
	TouchSlot   string `json:"touch_slot,omitempty"`
	Algorithm   string `json:"algorithm,omitempty"`
	UseExisting bool   `json:"use_existing,omitempty"`
	// Overwrite names slots whose key may be destroyed.
	Overwrite     []string `json:"overwrite,omitempty"`
	ManagementKey Secret   `json:"management_key,omitempty"` // hexadecimal
	// RequireAttestation refuses a token that no trusted maker vouches for.
	RequireAttestation bool `json:"require_attestation,omitempty"`
}

// EnrollResult is the new keyslot.
type EnrollResult struct {
	Version  int       `json:"version"`
	Token    Token     `json:"token"`
	Warnings []Warning `json:"warnings"`
	// Attested, AttestationOK, Maker and MakerModel as in TokenInfo.
	Attested      bool   `json:"attested"`
	AttestationOK bool   `json:"attestation_verified"`
	Maker         string `json:"maker,omitempty"`
	MakerModel    string `json:"maker_model,omitempty"`
}

// RevokeRequest removes a keyslot and rotates the keys.
type RevokeRequest struct {
	// Auth opens the touch class where accounts are in it, without the revoked
	// token if need be; elsewhere it opens the vault anew.
	Auth Auth `json:"auth,omitzero"`
	// Confirm must be the keyslot's id.
	Confirm string `json:"confirm"`
}

// RevokeResult says what was done and what is left to do.
type RevokeResult struct {
	Version int   `json:"version"`
	Revoked Token `json:"revoked"`
	Vault   Vault `json:"vault"`
	// OldBackups are the confirmed ones that the token still opens.
	OldBackups []string  `json:"old_backups"`
	Warnings   []Warning `json:"warnings"`
}

// TestTokenRequest opens a keyslot once for each of its classes.
type TestTokenRequest struct {
	Auth Auth `json:"auth,omitzero"`
}

// TestTokenResult says which classes opened.
type TestTokenResult struct {
	Version int      `json:"version"`
	Token   Token    `json:"token"`
	Opened  []string `json:"opened"`
}

// RenameTokenRequest gives a keyslot a new label.
type RenameTokenRequest struct {
	Label string `json:"label"`
}

// ChangePINRequest changes a token's PIN.
type ChangePINRequest struct {
	Which        string `json:"which"` // "pin", "puk", "unblock" (Old is then the PUK)
	Old          Secret `json:"old,omitempty"`
	New          Secret `json:"new"`
	SpendLastTry bool   `json:"spend_last_try,omitempty"`
}

// WipeTokenRequest removes from a token the keys of revoked keyslots, of
// enrolments that were interrupted, and of a vault that was purged.
type WipeTokenRequest struct {
	// Slots are PIV slots to clear as well, whose keys the daemon does not know:
	// only those that the token itself shows to be made by an enrolment, for
	// whatever vault, and that the caller's vault has no use for.
	Slots         []string `json:"slots,omitempty"`
	PIN           Secret   `json:"pin,omitempty"`
	SpendLastTry  bool     `json:"spend_last_try,omitempty"`
	ManagementKey Secret   `json:"management_key,omitempty"`
	// Confirm must be the token's id.
	Confirm string `json:"confirm"`
}

// WipeTokenResult says what was removed.
type WipeTokenResult struct {
	Version int      `json:"version"`
	Cleared []string `json:"cleared"`
}
