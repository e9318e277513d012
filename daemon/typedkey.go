package daemon

import (
	"github.com/tokenbridge/tokend/daemon/archive"
	"github.com/tokenbridge/tokend/daemon/secret"
	"github.com/tokenbridge/tokend/ipc"
)

// typedKey is a recovery key as it opens things, from one as it was typed; nil
// for none. A mistyped one is told from another vault's. The key takes the place
// of what was typed where it fits there, so that who wipes the one wipes both.
func typedKey(typed ipc.Secret) (key []byte, err error) {
	if len(typed) == 0 {
		return nil, nil
	}
	secret.Do(func() { key, err = archive.TypedKey(typed) })
	if err != nil {
		return nil, fault(ipc.InvalidArgument, err, "%s", err)
	}
	if len(typed) >= len(key) {
		n := copy(typed, key)
		clear(typed[n:])
		clear(key)
		return typed[:n], nil
	}
	return key, nil
}
