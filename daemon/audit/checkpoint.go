package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// CheckpointPrefix begins the text of a checkpoint, which is made of a-z, A-Z,
// 0-9, '.', '_' and '-' alone, so that it is found in any text around it.
const CheckpointPrefix = "tokend-checkpoint-1."

// MaxCheckpoint is the greatest length of a checkpoint's text in bytes.
const MaxCheckpoint = 400

// maxChain is the greatest length of a chain's id in bytes.
const maxChain = 64

// ErrCheckpoint says that a text is no checkpoint.
var ErrCheckpoint = errors.New("this is no checkpoint of an audit log")

// Checkpoint is the signed statement that a chain had an entry at a time. Its
// text is CheckpointPrefix and, with a '.' between them: the chain's id, the
// entry's number, its hash, the time in seconds since 1970, the signer, and the
// signature in base64url without padding. What is signed is "tokend audit
// checkpoint v1", a line feed, and the text up to the '.' before the signature.
type Checkpoint struct {
	// Chain is the chain's id: 1 to 64 of a-z, 0-9 and '-'.
	Chain string
	Seq   uint64 // of the entry; not 0
	Hash  string // of the entry, hexadecimal
	// Time is when it was signed, UTC, with seconds.
	Time time.Time
	// Signer is the Ed25519 public key, hexadecimal.
	Signer    string
	Signature []byte
}

// unsigned is the text up to the signature.
func (c Checkpoint) unsigned() string {
	return CheckpointPrefix + c.Chain + "." + strconv.FormatUint(c.Seq, 10) + "." + c.Hash + "." +
		strconv.FormatInt(c.Time.Unix(), 10) + "." + c.Signer
}

// String is the checkpoint's text.
func (c Checkpoint) String() string {
	return c.unsigned() + "." + base64.RawURLEncoding.EncodeToString(c.Signature)
}

// Message is what is signed.
func (c Checkpoint) Message() []byte { return []byte("tokend audit checkpoint v1\n" + c.unsigned()) }

// Genuine says that its signer has signed it. Whether the signer is the right one
// is another question.
func (c Checkpoint) Genuine() bool {
	key, err := hex.DecodeString(c.Signer)
	return err == nil && len(key) == ed25519.PublicKeySize && len(c.Signature) == ed25519.SignatureSize &&
		ed25519.Verify(key, c.Message(), c.Signature)
}

// ParseCheckpoint reads a checkpoint's text, which it takes in one form only. It
// does not look at the signature. It fails with ErrCheckpoint.
func ParseCheckpoint(text string) (Checkpoint, error) {
	rest, ok := strings.CutPrefix(text, CheckpointPrefix)
	fields := strings.Split(rest, ".")
	if !ok || len(text) > MaxCheckpoint || len(fields) != 6 {
		return Checkpoint{}, ErrCheckpoint
	}
	seq, err1 := strconv.ParseUint(fields[1], 10, 63)
	unix, err2 := strconv.ParseInt(fields[3], 10, 40)
	signature, err3 := base64.RawURLEncoding.DecodeString(fields[5])
	if err := errors.Join(err1, err2, err3); err != nil || seq == 0 || !chainID(fields[0]) || !isHash(fields[2]) || !isHash(fields[4]) ||
		len(signature) != ed25519.SignatureSize {
		return Checkpoint{}, ErrCheckpoint
	}
	c := Checkpoint{Chain: fields[0], Seq: seq, Hash: fields[2], Time: time.Unix(unix, 0).UTC(), Signer: fields[4], Signature: signature}
	if c.String() != text {
		return Checkpoint{}, ErrCheckpoint
	}
	return c, nil
}

// chainID says that s can be a chain's id.
func chainID(s string) bool {
	return len(s) > 0 && len(s) <= maxChain && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// isHash says that s is 32 bytes in lower-case hexadecimal.
func isHash(s string) bool { return len(s) == hashLen && strings.Trim(s, "0123456789abcdef") == "" }

// Signer signs checkpoints.
type Signer interface {
	// Signer is its public key, hexadecimal.
	Signer() string
	// Sign signs a message, which says by its first words what it is.
	Sign(message []byte) (signature []byte, err error)
}

// Checkpoint makes a checkpoint of the log's last entry. chain is the chain's id;
// ID stands for it where it is empty.
func (l *Log) Checkpoint(chain string, s Signer) (Checkpoint, error) {
	l.mu.Lock()
	seq, head, id, now := l.seq, l.head, l.id, l.now()
	l.mu.Unlock()
	if chain == "" {
		chain = id
	}
	return NewCheckpoint(chain, seq, head, now, s)
}

// NewCheckpoint makes a checkpoint of an entry of a chain.
func NewCheckpoint(chain string, seq uint64, head string, now time.Time, s Signer) (Checkpoint, error) {
	if seq == 0 || !chainID(chain) {
		return Checkpoint{}, errors.New("cannot make a checkpoint of an audit log without a readable beginning")
	}
	c := Checkpoint{Chain: chain, Seq: seq, Hash: head, Time: now.UTC().Truncate(time.Second), Signer: s.Signer()}
	var err error
	if c.Signature, err = s.Sign(c.Message()); err != nil {
		return Checkpoint{}, fmt.Errorf("cannot sign a checkpoint: %w", err)
	}
	return c, nil
}

// Standing is how a chain stands to a checkpoint.
type Standing string

// The standings, in the order in which they are looked for.
const (
	// Unreadable: it is no checkpoint, or a damaged one.
	Unreadable Standing = "unreadable"
	// Forged: the signer that it names has not signed this.
	Forged Standing = "forged"
	// OtherChain: it is of another chain.
	OtherChain Standing = "other-chain"
	// Replaced: it is of another chain, and signed by the chain owner's key: the
	// chain was begun anew since, or he has one elsewhere.
	Replaced Standing = "replaced"
	// UnknownSigner: it is signed by a key that is not the chain owner's.
	UnknownSigner Standing = "unknown-signer"
	// Cut: the chain ends before the entry.
	Cut Standing = "cut"
	// Before: the entry was in a file that is not here any more.
	Before Standing = "before"
	// Missing: there are entries before and after, and not this one.
	Missing Standing = "missing"
	// Rewritten: the chain has another entry of this number.
	Rewritten Standing = "rewritten"
	// Held: the chain has the entry.
	Held Standing = "held"
)

// Owner is whose a chain is.
type Owner struct {
	// Chain is the chain's id.
	Chain string
	// Signs says whether a key is, or was, the one that signs its checkpoints.
	Signs func(signer string) bool
}

// judge says how a chain stands to a checkpoint, by what a walk through it found:
// the hashes of the entries that are as they were written.
func (o Owner) judge(c Checkpoint, res Result, hashes map[uint64]string) Standing {
	found, there := hashes[c.Seq]
	switch {
	case !c.Genuine():
		return Forged
	case c.Chain != o.Chain && o.Signs(c.Signer):
		return Replaced
	case c.Chain != o.Chain:
		return OtherChain
	case !o.Signs(c.Signer):
		return UnknownSigner
	case c.Seq > res.Last || res.Entries == 0:
		return Cut
	case c.Seq+1 == res.First: // the first entry names its hash
		found, there = res.Before, true
	case c.Seq < res.First:
		return Before
	}
	switch {
	case !there:
		return Missing
	case found != c.Hash:
		return Rewritten
	}
	return Held
}
