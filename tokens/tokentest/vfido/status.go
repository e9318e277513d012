package vfido

import "fmt"

// Status is the first byte of every answer (CTAP 2.1, section 8.2); those from
// 0x01 to 0x0B are also the codes of CTAPHID_ERROR (section 11.2.9.1.6).
type Status byte

// The statuses a key gives.
const (
	StatusOK                     Status = 0x00
	StatusInvalidCommand         Status = 0x01
	StatusInvalidParameter       Status = 0x02
	StatusInvalidLength          Status = 0x03
	StatusInvalidSequence        Status = 0x04
	StatusMessageTimeout         Status = 0x05
	StatusChannelBusy            Status = 0x06
	StatusInvalidChannel         Status = 0x0B
	StatusUnexpectedType         Status = 0x11
	StatusInvalidCBOR            Status = 0x12
	StatusMissingParameter       Status = 0x14
	StatusLimitExceeded          Status = 0x15
	StatusCredentialExcluded     Status = 0x19
	StatusUnsupportedAlgorithm   Status = 0x26
	StatusOperationDenied        Status = 0x27
	StatusKeyStoreFull           Status = 0x28
	StatusUnsupportedOption      Status = 0x2B
	StatusInvalidOption          Status = 0x2C
	StatusKeepaliveCancel        Status = 0x2D
	StatusNoCredentials          Status = 0x2E
	StatusUserActionTimeout      Status = 0x2F
	StatusNotAllowed             Status = 0x30
	StatusPINInvalid             Status = 0x31
	StatusPINBlocked             Status = 0x32
	StatusPINAuthInvalid         Status = 0x33
	StatusPINAuthBlocked         Status = 0x34
	StatusPINNotSet              Status = 0x35
	StatusPINRequired            Status = 0x36 // CTAP2_ERR_PUAT_REQUIRED
	StatusPINPolicy              Status = 0x37
	StatusRequestTooLarge        Status = 0x39
	StatusUVBlocked              Status = 0x3C
	StatusInvalidSubcommand      Status = 0x3E
	StatusUVInvalid              Status = 0x3F
	StatusUnauthorizedPermission Status = 0x40
	StatusOther                  Status = 0x7F
)

// Error makes a Status an error, for those who speak to a key themselves.
func (s Status) Error() string { return fmt.Sprintf("CTAP status 0x%02x", byte(s)) }

// Command is a command of CTAP 2 (section 6) or, from 0x80 on, of CTAPHID
// (section 11.2.9) with the bit that marks initialisation packets.
type Command byte

// The commands a key knows.
const (
	CommandMakeCredential    Command = 0x01
	CommandGetAssertion      Command = 0x02
	CommandGetInfo           Command = 0x04
	CommandClientPIN         Command = 0x06
	CommandReset             Command = 0x07
	CommandGetNextAssertion  Command = 0x08
	CommandManagement        Command = 0x0A // authenticatorCredentialManagement
	CommandSelection         Command = 0x0B
	CommandManagementPreview Command = 0x41

	CommandPing      Command = 0x81
	CommandMessage   Command = 0x83 // U2F
	CommandInit      Command = 0x86
	CommandWink      Command = 0x88
	CommandCBOR      Command = 0x90
	CommandCancel    Command = 0x91
	CommandKeepalive Command = 0xBB
	CommandError     Command = 0xBF
)

// Subcommands of clientPIN (section 6.5.5).
const (
	SubGetRetries        byte = 0x01
	SubGetKeyAgreement   byte = 0x02
	SubSetPIN            byte = 0x03
	SubChangePIN         byte = 0x04
	SubGetPINToken       byte = 0x05
	SubGetTokenUsingUV   byte = 0x06
	SubGetUVRetries      byte = 0x07
	SubGetTokenUsingPIN  byte = 0x09 // with permissions
	subManageMetadata    byte = 0x01
	subManageRPs         byte = 0x02
	subManageNextRP      byte = 0x03
	subManageCredentials byte = 0x04
	subManageNext        byte = 0x05
	subManageDelete      byte = 0x06
	subManageUpdate      byte = 0x07
)

// String is the command's name in the standard, without "authenticator".
func (c Command) String() string {
	names := map[Command]string{
		CommandMakeCredential: "makeCredential", CommandGetAssertion: "getAssertion", CommandGetInfo: "getInfo",
		CommandClientPIN: "clientPIN", CommandReset: "reset", CommandGetNextAssertion: "getNextAssertion",
		CommandManagement: "credentialManagement", CommandSelection: "selection",
		CommandManagementPreview: "credentialManagementPreview",
		CommandPing:              "PING", CommandMessage: "MSG", CommandInit: "INIT", CommandWink: "WINK",
		CommandCBOR: "CBOR", CommandCancel: "CANCEL", CommandKeepalive: "KEEPALIVE", CommandError: "ERROR",
	}
	if n, ok := names[c]; ok {
		return n
	}
	return fmt.Sprintf("0x%02x", byte(c))
}

// Name is the name under which Counts.Commands has a command: that of String
// and, for clientPIN and credentialManagement, a dot and the subcommand's.
func (c Command) Name(sub byte) string {
	var names map[byte]string
	switch c {
	case CommandClientPIN:
		names = map[byte]string{
			SubGetRetries: "getRetries", SubGetKeyAgreement: "getKeyAgreement", SubSetPIN: "setPIN",
			SubChangePIN: "changePIN", SubGetPINToken: "getPinToken", SubGetTokenUsingUV: "getPinUvAuthTokenUsingUv",
			SubGetUVRetries: "getUVRetries", SubGetTokenUsingPIN: "getPinUvAuthTokenUsingPin",
		}
	case CommandManagement, CommandManagementPreview:
		names = map[byte]string{
			subManageMetadata: "getCredsMetadata", subManageRPs: "enumerateRPsBegin",
			subManageNextRP: "enumerateRPsGetNextRP", subManageCredentials: "enumerateCredentialsBegin",
			subManageNext: "enumerateCredentialsGetNextCredential", subManageDelete: "deleteCredential",
			subManageUpdate: "updateUserInformation",
		}
	default:
		return c.String()
	}
	if n, ok := names[sub]; ok {
		return c.String() + "." + n
	}
	return fmt.Sprintf("%v.0x%02x", c, sub)
}
