package dbus

import (
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// arg is an argument of a method or a signal, or a property.
type arg struct{ name, sig string }

// args reads "name type, name type".
func args(s string) []arg {
	var list []arg
	for one := range strings.SplitSeq(s, ",") {
		if name, sig, ok := strings.Cut(strings.TrimSpace(one), " "); ok {
			list = append(list, arg{name, sig})
		}
	}
	return list
}

func signatureOf(list []arg) string {
	var b strings.Builder
	for _, a := range list {
		b.WriteString(a.sig)
	}
	return b.String()
}

// method is a row of the table of methods.
type method struct {
	name    string
	in, out []arg
	// action is what polkit is asked about on the system's bus; empty for what
	// everybody may do with his own.
	action string
	call   func(*call) ([]any, error)
}

// property is a row of the table of properties.
type property struct {
	arg
	// quiet says that PropertiesChanged does not tell of it.
	quiet bool
}

// iface is an interface: what the hand-written XML of its name says, too.
type iface struct {
	name       string
	kinds      []kind // of the objects that have it
	methods    []method
	properties []property
	signals    []method
}

func (f *iface) at(k kind) bool { return slices.Contains(f.kinds, k) }

func (f *iface) method(name string) *method {
	for i := range f.methods {
		if f.methods[i].name == name {
			return &f.methods[i]
		}
	}
	return nil
}

// The interfaces.
const (
	managerIface = Name + ".Manager"
	vaultIface   = Name + ".Vault"
	tokenIface   = Name + ".Token"
	accountIface = Name + ".Account"

	propertiesIface     = "org.freedesktop.DBus.Properties"
	introspectableIface = "org.freedesktop.DBus.Introspectable"
	objectManagerIface  = "org.freedesktop.DBus.ObjectManager"
)

// actionPrefix is what the names of polkit's actions begin with; they are those
// of the routes over HTTP.
const actionPrefix = "io.github.tokenbridge.tokend."

// codeResult is what GenerateCode answers.
const codeResult = "code s, valid_from x, valid_until x, details a{sv}"

// interfaces is the table of all that can be called, read or be told.
func interfaces() []iface {
	return []iface{
		managerTable(), vaultTable(), tokenTable(), accountTable(),
		{
			name: introspectableIface, kinds: []kind{kindRoot, kindVault, kindToken, kindAccount, kindDir},
			methods: []method{{name: "Introspect", out: args("xml_data s"), call: introspect}},
		},
		{
			name: propertiesIface, kinds: []kind{kindRoot, kindVault, kindToken, kindAccount},
			methods: []method{
				{name: "Get", in: args("interface_name s, property_name s"), out: args("value v"), call: getProperty},
				{name: "GetAll", in: args("interface_name s"), out: args("properties a{sv}"), call: getProperties},
				// A value of any type is none of ours, and does not get here.
				{name: "Set", in: nil, call: setProperty},
			},
			signals: []method{{name: "PropertiesChanged", out: args("interface_name s, changed_properties a{sv}, invalidated_properties as")}},
		},
		{
			name: objectManagerIface, kinds: []kind{kindRoot},
			methods: []method{{name: "GetManagedObjects", out: args("objects a{oa{sa{sv}}}"), call: managedObjects}},
			signals: []method{
				{name: "InterfacesAdded", out: args("object_path o, interfaces_and_properties a{sa{sv}}")},
				{name: "InterfacesRemoved", out: args("object_path o, interfaces as")},
			},
		},
	}
}

func managerTable() iface {
	return iface{
		name: managerIface, kinds: []kind{kindRoot},
		methods: []method{
			{name: "Status", out: args("status a{sv}, warnings a(sss)"), call: managerStatus},
			{name: "Doctor", out: args("findings a(ssss)"), call: managerDoctor},
			{name: "GenerateCode", in: args("account s, options a{sv}"), out: args(codeResult), call: managerCode},
			{name: "Subscribe", call: managerSubscribe},
			{name: "Unsubscribe", call: managerUnsubscribe},
			{name: "Cancel", in: args("request s"), call: managerCancel},
		},
		properties: constant("Version s, Mode s, Socket s"),
		signals: []method{
			{name: "TouchWanted", out: args("operation s, token o, account o, details a{sv}")},
			{name: "TouchDone", out: args("operation s, ok b")},
			{name: "TokenWaiting", out: args("operation s, token o, place u, details a{sv}")},
			{name: "TokenInserted", out: args("token o")},
			{name: "TokenRemoved", out: args("token o")},
			{name: "Notice", out: args("message s")},
			{name: "SignalsDropped", out: args("message s")},
		},
	}
}

func vaultTable() iface {
	return iface{
		name: vaultIface, kinds: []kind{kindVault},
		methods: []method{
			{name: "Lock", call: vaultLock},
			{name: "Unlock", in: args("options a{sv}"), out: args("notices a(sss)"), call: vaultUnlock},
			{name: "Conversations", out: args("steps s"), call: vaultConversations},
			{name: "TakeAnswer", in: args("answer s"), out: args("step s"), call: vaultTakeAnswer},
			{name: "PollConversation", in: args("conversation s"), out: args("step s"), call: vaultPoll},
			{name: "ProveAgain", in: args("conversation s"), out: args("step s"), call: vaultProve},
			{name: "AnswerQuestion", in: args("conversation s, answer a{sv}"), out: args("step s"), action: "approve-device", call: vaultAnswerQuestion},
			{name: "RevokeDevice", in: args("conversation s, device a{sv}"), out: args("step s"), action: "revoke-device", call: vaultRevokeDevice},
		},
		properties: append(changing("State s, Id s, Epoch t, Generation t, Problem s, UnlockedBy s, UnlockedAt x, "+
			"AccountCount u, TouchAccountCount u, AccountOrder ao, Signer s, RecoverySet x, LastBackup x"),
			constant("IdleLock x, HardLock x")...),
		signals: []method{
			{name: "Locked", out: args("reason s")},
			{name: "Unlocked"},
			{name: "BackupMade", out: args("time x")},
		},
	}
}

func tokenTable() iface {
	return iface{
		name: tokenIface, kinds: []kind{kindToken},
		methods: []method{
			{name: "Rename", in: args("label s"), action: "rename-token", call: tokenRename},
			{name: "Test", in: args("options a{sv}"), out: args("opened as"), call: tokenTest},
		},
		properties: changing("Id s, Kind s, Label s, Model s, Serial s, Firmware s, Locator s, Enrolled b, Present b, " +
			"NoPIN b, Hardware b, Classes as, Slots as, Added x, LastUsed x, Problem s, Warnings a(sss)"),
	}
}

func accountTable() iface {
	return iface{
		name: accountIface, kinds: []kind{kindAccount},
		methods: []method{
			{name: "GenerateCode", in: args("options a{sv}"), out: args(codeResult), call: accountCode},
			{name: "Edit", in: args("settings a{sv}"), action: "edit-account", call: accountEdit},
			{name: "Move", in: args("position u"), action: "edit-account", call: accountMove},
			{name: "Remove", in: args("confirm s"), out: args("in_backups as"), action: "remove-account", call: accountRemove},
			{name: "Reactivate", in: args("device_name s, options a{sv}"), out: args("step s"), action: "reactivate", call: accountReactivate},
			{name: "AskQuestions", out: args("step s"), call: accountQuestions},
			{name: "AskNotices", out: args("step s"), call: accountNotices},
			{name: "AskDevices", out: args("step s"), call: accountDevices},
		},
		properties: append(changing("Id s, Issuer s, Name s, Kind s, Class s, Type s, Algorithm s, Digits u, Period u, "+
			"Note s, Created x"), constant("Counter t")...),
	}
}

func changing(list string) (all []property) {
	for _, a := range args(list) {
		all = append(all, property{arg: a})
	}
	return all
}

func constant(list string) (all []property) {
	for _, a := range args(list) {
		all = append(all, property{arg: a, quiet: true})
	}
	return all
}

// ifaceOf is the interface of ours that objects of a kind have.
func ifaceOf(k kind) string {
	return map[kind]string{kindRoot: managerIface, kindVault: vaultIface, kindToken: tokenIface, kindAccount: accountIface}[k]
}

// warning is a Warning on the bus: code, message, the command that mends it.
type warning struct{ Code, Message, Fix string }

// noPath stands for no object.
const noPath = dbus.ObjectPath("/")
