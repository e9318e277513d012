package archive

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestTypedKey(t *testing.T) {
	key, _, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	grouped := string(GroupedKey(key))
	for name, typed := range map[string]string{
		"as it is":         string(key),
		"grouped":          grouped,
		"small letters":    strings.ToLower(grouped),
		"with line ends":   grouped[:40] + "\r\n" + grouped[40:] + "\n",
		"dashes for gaps":  strings.ReplaceAll(grouped, " ", "-"),
		"without its head": strings.TrimPrefix(grouped, keyPrefix),
		"zeros as letters": keyPrefix + strings.NewReplacer("0", "O", "8", "B", "L", "i").Replace(grouped[len(keyPrefix):]),
		"an identity file": "# tokend recovery key\n# public key: age1xyz\n" + string(key) + "\n",
	} {
		got, err := TypedKey([]byte(typed))
		if err != nil || !bytes.Equal(got, key) {
			t.Errorf("%s: %v", name, err)
		}
		if name != "without its head" && !LooksLikeKey([]byte(typed)) {
			t.Errorf("%s is not taken for a key", name)
		}
	}
	// Every wrong character, and every one left out, is told from a wrong key.
	for i := len(keyPrefix); i < len(key); i++ {
		wrong := bytes.Clone(key)
		if wrong[i] = 'Q'; key[i] == 'Q' {
			wrong[i] = 'P'
		}
		for _, typed := range [][]byte{wrong, append(bytes.Clone(key[:i]), key[i+1:]...)} {
			if _, err := TypedKey(typed); !errors.Is(err, ErrKeyTyped) || strings.Contains(err.Error(), string(key[20:30])) {
				t.Fatalf("character %d: %v", i, err)
			}
		}
	}
	for _, typed := range []string{"", "correct horse battery", keyPrefix, strings.Repeat("A", 1000)} {
		if _, err := TypedKey([]byte(typed)); !errors.Is(err, ErrKeyTyped) {
			t.Errorf("%q: %v", typed, err)
		}
	}
	for _, password := range []string{"correct horse battery", "age of secret", ""} {
		if LooksLikeKey([]byte(password)) {
			t.Errorf("%q is taken for a key", password)
		}
	}
}

// FuzzTypedKey: what is taken for a key is one, in its one form.
func FuzzTypedKey(f *testing.F) {
	key, _, err := NewIdentity()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key)
	f.Add(GroupedKey(key))
	f.Add([]byte("# comment\nage-secret-key-1"))
	f.Fuzz(func(t *testing.T, typed []byte) {
		got, err := TypedKey(typed)
		if err != nil {
			return
		}
		again, err := TypedKey(GroupedKey(got))
		if err != nil || !bytes.Equal(again, got) || len(got) != keyLength {
			t.Fatalf("%v", err)
		}
	})
}
