package remedy

import "testing"

func TestWithoutSudo(t *testing.T) {
	for text, want := range map[string]string{
		"sudo pcscd": "pcscd",
		"sudo pkill -x pcscd; sleep 1; sudo pcscd":                             "pkill -x pcscd; sleep 1; pcscd",
		"tokend config check /f && sudo systemctl reload tokend":               "tokend config check /f && systemctl reload tokend",
		"printf x | sudo install -m 644 /dev/stdin /f":                         "printf x | install -m 644 /dev/stdin /f",
		"start the smart card service (`sudo pcscd`), or (sudo pcscd)":         "start the smart card service (`pcscd`), or (pcscd)",
		"run this as another user, such as `sudo -u USER tokenctl status`":     "run this as another user, such as `sudo -u USER tokenctl status`",
		"ls -l '/home/a sudo b'; a folder that is called sudo is none of ours": "ls -l '/home/a sudo b'; a folder that is called sudo is none of ours",
	} {
		if got := withoutSudo(text); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
