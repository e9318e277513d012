package httpapi

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tokenbridge/tokend/ipc"
)

// handOut answers with a backup, which is sealed: no secret. Its bytes go out piece
// by piece. In one piece encoding/json would go through them five times over, and a
// code that is asked for meanwhile waits for as long as the system needs to find the
// memory.
func (x *exchange) handOut(b *ipc.Backup) error {
	data := b.Data
	b.Data = []byte{}
	body, err := json.Marshal(b)
	b.Data = data
	if err != nil {
		return fmt.Errorf("cannot encode the answer: %w", err)
	}
	// In a string the quotes would not be bare, so this is the field.
	before, after, ok := bytes.Cut(body, []byte(`"data":""`))
	if !ok {
		return errors.New("a backup has lost its place")
	}
	x.head(200, len(body)+base64.StdEncoding.EncodedLen(len(data))+1)
	x.begun = true
	// As in write, an error is that the caller is gone.
	w := bufio.NewWriterSize(x.w, writePiece)
	_, _ = w.Write(before)
	_, _ = w.WriteString(`"data":"`)
	e := base64.NewEncoder(base64.StdEncoding, w)
	_, _ = e.Write(data)
	_ = e.Close()
	_ = w.WriteByte('"')
	_, _ = w.Write(after)
	_ = w.WriteByte('\n')
	_ = w.Flush()
	return nil
}
