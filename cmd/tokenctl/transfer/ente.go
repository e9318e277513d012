package transfer

import (
	"context"
	"encoding/json"
)

// ente is Ente Auth's encrypted export: Argon2id and one message of libsodium's
// secretstream. What is in it, and its plain export, are addresses.
type ente struct{}

// Name implements Format.
func (ente) Name() string { return "Ente Auth" }

// Detect implements Format.
func (ente) Detect(f *File) Confidence {
	if f.has("kdfParams", "encryptedData", "encryptionNonce") {
		return Sure
	}
	return No
}

type enteFile struct {
	Version   number
	KdfParams struct {
		MemLimit, OpsLimit number
		Salt               loose
	}
	EncryptedData, EncryptionNonce loose
}

// Read implements Format.
func (e ente) Read(ctx context.Context, f *File, o Options) (Result, error) {
	var file enteFile
	if json.Unmarshal([]byte(f.text()), &file) != nil {
		return Result{}, damaged(e.Name(), "it has not the form of an export")
	}
	if file.Version.value > 1 {
		return Result{}, newer(e.Name(), file.Version.value)
	}
	salt, data, nonce := fromBase64(string(file.KdfParams.Salt)), fromBase64(string(file.EncryptedData)), fromBase64(string(file.EncryptionNonce))
	if len(salt) != 16 || len(nonce) != 24 || len(data) < streamOverhead {
		return Result{}, damaged(e.Name(), "its encrypted part is cut short")
	}
	password, err := o.ask(ctx, e.Name(), "export password")
	if err != nil {
		return Result{}, err
	}
	defer clear(password)
	key, err := o.argon2Key(ctx, e.Name(), password, salt, file.KdfParams.OpsLimit.value, file.KdfParams.MemLimit.value>>10, 1)
	if err != nil {
		return Result{}, err
	}
	defer clear(key)
	plain, ok := openStream(key, nonce, data)
	if !ok {
		return Result{}, wrongPassword(e.Name())
	}
	defer clear(plain)
	res, err := addresses{}.Read(ctx, &File{Data: plain, Name: f.Name}, o)
	if err != nil {
		return Result{}, problem(NoAccounts, e.Name(), "there are no accounts in the file")
	}
	res.Format = e.Name()
	return res, nil
}
