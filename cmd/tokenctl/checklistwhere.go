package main

import "strings"

// product is an authenticator whose accounts have to be set up anew.
type product struct {
	name  string
	words []string // by which it is meant
	how   []string
}

// products are those without an export that can be read, and the case that what
// was exported is lost.
func products() []product {
	return []product{
		{"Duo Mobile", []string{"duo", "duo mobile"}, []string{
			"it exports nothing; its list shows the accounts, those of others by name and those marked as Duo-protected",
			"a Duo-protected account comes back through the organisation that it is with, not through this list"}},
		{"Microsoft Authenticator", []string{"microsoft", "microsoft authenticator", "ms"}, []string{
			"it exports nothing, and its cloud backup opens in itself alone; its list shows the accounts",
			"work or school accounts: mysignins.microsoft.com/security-info; personal ones: account.microsoft.com/security"}},
		{"Authy", []string{"authy", "twilio authy"}, []string{
			"it exports nothing; its list shows the accounts, and on a phone that its owner has all rights to, its file is read"}},
		{"Symantec VIP", []string{"symantec", "vip", "symantec vip"}, []string{
			"its one credential is bound to the phone; each service that knows it has to be told of a new one"}},
		{"Okta Verify", []string{"okta", "okta verify"}, []string{
			"it exports nothing; accounts of others in it are set up anew, those of Okta through the organisation"}},
		{"Google Authenticator", []string{"google", "google authenticator"}, []string{
			"it can export, as QR codes: menu, transfer accounts, export; this list is for a phone that is lost"}},
		{"lost", []string{"lost", "other", "none"}, []string{
			"to remember what there was: your password manager, mails that told of two-factor login, lists of recovery codes",
			"sign in with recovery codes where you have them, and set up the code anew before you do anything else there"}},
	}
}

// findProduct finds a product by a word for it.
func findProduct(word string) (product, bool) {
	word = strings.ToLower(strings.Join(strings.FieldsFunc(word, func(r rune) bool { return r == ' ' || r == '-' || r == '_' }), " "))
	for _, p := range products() {
		for _, w := range append(p.words, strings.ToLower(p.name)) {
			if word == w {
				return p, true
			}
		}
	}
	return product{}, false
}

// whereAt is where in a service's settings a code is set up anew.
func whereAt(i checkItem) string {
	name := strings.ToLower(i.Issuer)
	if name == "" {
		name = strings.ToLower(i.Name)
	}
	words := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune(" .,-_/()@", r) })
	for _, s := range services() {
		for _, w := range words {
			if w == s.word {
				return s.where
			}
		}
	}
	return "sign in, security settings, two-factor or two-step verification, authenticator app"
}

type service struct{ word, where string }

// services are those that many people have. Menus move; the words in them mostly
// stay.
func services() []service {
	return []service{
		{"amazon", "Account, Login & security, 2-step verification, Manage, Authenticator app"},
		{"aws", "IAM, Security credentials, Multi-factor authentication: assign a new device, then remove the old"},
		{"apple", "an Apple account has no codes of this kind; what is listed may be another service"},
		{"atlassian", "id.atlassian.com, Security, Two-step verification"},
		{"bitwarden", "Settings, Security, Two-step login, Authenticator app"},
		{"cloudflare", "My profile, Authentication, Two-factor authentication"},
		{"coinbase", "Settings, Security, 2-step verification"},
		{"discord", "User settings, My account: remove and enable the authenticator app"},
		{"dropbox", "Settings, Security, Two-step verification"},
		{"facebook", "Accounts centre, Password and security, Two-factor authentication"},
		{"instagram", "Accounts centre, Password and security, Two-factor authentication"},
		{"github", "Settings, Password and authentication, Two-factor methods, Authenticator app, Edit"},
		{"gitlab", "Edit profile, Account, Two-factor authentication: register the authenticator anew"},
		{"google", "myaccount.google.com, Security, 2-Step Verification, Authenticator, Change authenticator app"},
		{"heroku", "Account settings, Multi-factor authentication"},
		{"linkedin", "Settings, Sign in & security, Two-step verification"},
		{"mastodon", "Preferences, Account, Two-factor auth"},
		{"microsoft", "account.microsoft.com/security, or mysignins.microsoft.com/security-info: add a sign-in method, Authenticator app, another app"},
		{"nextcloud", "Personal settings, Security, TOTP"},
		{"npm", "Account, Two-factor authentication, Manage"},
		{"paypal", "Settings, Security, 2-step verification"},
		{"proton", "Settings, Account and password, Two-factor authentication"},
		{"pypi", "Account settings, Two factor authentication, Add 2FA with authentication application"},
		{"reddit", "Settings, Account, Two-factor authentication"},
		{"slack", "Account settings, Two-factor authentication"},
		{"steam", "Steam's codes come from its app alone; move Steam Guard to the new phone there"},
		{"stripe", "Profile, Two-step authentication"},
		{"twitch", "Settings, Security and privacy, Two-factor authentication"},
		{"twitter", "Settings, Security, Two-factor authentication, Authentication app"},
		{"x", "Settings, Security, Two-factor authentication, Authentication app"},
		{"wordpress", "Me, Security, Two-step authentication"},
		{"zoom", "Profile, Two-factor authentication"},
	}
}
