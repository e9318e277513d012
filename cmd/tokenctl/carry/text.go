package carry

import (
	"github.com/tokenbridge/tokend/daemon/authority/message"
	"github.com/tokenbridge/tokend/ipc"
)

// Kind is what a text carries.
type Kind = message.PartKind

// The kinds of texts.
const (
	Descriptors Kind = message.PartsDescriptor
	Requests    Kind = message.PartsRequest
	Answers     Kind = message.PartsAnswer
)

// File writes a message as lines for a file or a mail.
func File(kind Kind, raw []byte) (string, error) {
	s, err := message.FileText(kind, raw)
	if err != nil {
		return "", ipc.Errorf(ipc.InvalidArgument, "%s", err)
	}
	return s, nil
}

// Codes writes a message as texts that each fit a QR code.
func Codes(kind Kind, raw []byte) ([]string, error) {
	parts, err := message.Parts(kind, raw, 0)
	if err != nil {
		return nil, ipc.Errorf(ipc.InvalidArgument, "%s", err)
	}
	return parts, nil
}

// Read finds the message in what File wrote, or in the texts of QR codes, a line
// each. It fails where the text carries another kind.
func Read(kind Kind, text string) ([]byte, error) {
	found, raw, err := message.ReadText(text)
	if err != nil {
		return nil, ipc.Errorf(ipc.InvalidArgument, "%s", err)
	}
	if found != kind {
		return nil, ipc.Errorf(ipc.InvalidArgument, "this is %s, and not %s", named(found), named(kind))
	}
	return raw, nil
}

func named(k Kind) string {
	switch k {
	case Descriptors:
		return "the descriptor of an authority"
	case Requests:
		return "a request to an authority"
	case Answers:
		return "an authority's answer"
	}
	return "another message"
}
