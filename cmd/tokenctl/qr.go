package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // pictures of QR codes
	_ "image/png"
	"strings"

	"github.com/makiuchi-d/gozxing"
	multiqr "github.com/makiuchi-d/gozxing/multi/qrcode"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"

	"github.com/tokenbridge/tokend/cmd/tokenctl/carry"
	"github.com/tokenbridge/tokend/ipc"
)

// maxPixels bounds a picture: a small file can unpack into a huge one.
const maxPixels = 40 << 20

// scanPicture finds the texts of the QR codes in a PNG or JPEG picture.
func scanPicture(picture []byte) ([]string, error) {
	conf, format, err := image.DecodeConfig(bytes.NewReader(picture))
	if err != nil {
		return nil, badPicture("it is not a PNG or JPEG picture, or its beginning is damaged")
	}
	if conf.Width <= 0 || conf.Height <= 0 || conf.Width > maxPixels/conf.Height {
		return nil, badPicture(fmt.Sprintf("the picture has %d by %d points, which is too large", conf.Width, conf.Height))
	}
	img, _, err := image.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, badPicture("the " + strings.ToUpper(format) + " picture is damaged")
	}
	return scan(img), nil
}

// readQR finds the one QR code in a PNG or JPEG picture and gives its text.
func readQR(picture []byte) (text string, err error) {
	texts, err := scanPicture(picture)
	if err != nil {
		return "", err
	}
	switch len(texts) {
	case 0:
		return "", badPicture("no QR code was found in the picture, or it is damaged", adviceNoQR()...)
	case 1:
	default:
		return "", badPicture(fmt.Sprintf("there are %d QR codes in the picture", len(texts)), adviceManyQR()...)
	}
	text = strings.TrimSpace(texts[0])
	switch lower := strings.ToLower(text); {
	case strings.HasPrefix(lower, "otpauth-migration:"):
		return "", badPicture("the QR code is an export of several accounts, not an account", adviceMigrationQR()...)
	case carry.IsLink(text):
		return "", badPicture("the QR code is an activation link of an authority, not an account", adviceActivationQR()...)
	case !strings.HasPrefix(lower, "otpauth:"):
		// Not shown: it may be a secret of another kind.
		return "", badPicture("the QR code holds something else than an account (no otpauth:// address)", adviceOtherQR()...)
	}
	return text, nil
}

func badPicture(message string, hints ...string) error {
	if hints == nil {
		hints = adviceNoQR()
	}
	return failWith("read the QR code", &ipc.Error{Kind: ipc.InvalidArgument, Message: message}, hints...)
}

// scan finds the different texts of the QR codes in a picture: first for all
// codes, then harder for one, dark on light and light on dark.
func scan(img image.Image) []string {
	source := gozxing.NewLuminanceSourceFromImage(img)
	for _, s := range []gozxing.LuminanceSource{source, gozxing.NewInvertedLuminanceSource(source)} {
		for _, binarizer := range []gozxing.Binarizer{gozxing.NewHybridBinarizer(s), gozxing.NewGlobalHistgramBinarizer(s)} {
			if texts := scanOnce(binarizer); len(texts) > 0 {
				return texts
			}
		}
	}
	return nil
}

// scanOnce must not let a picture that nobody foresaw end the program: the
// decoder is foreign code, and indexes into what it believes to see.
func scanOnce(binarizer gozxing.Binarizer) (texts []string) {
	defer func() {
		if recover() != nil {
			texts = nil
		}
	}()
	bitmap, err := gozxing.NewBinaryBitmap(binarizer)
	if err != nil {
		return nil
	}
	hints := map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_TRY_HARDER: true}
	seen := map[string]bool{}
	if results, err := multiqr.NewQRCodeMultiReader().DecodeMultiple(bitmap, hints); err == nil {
		for _, r := range results {
			if !seen[r.GetText()] {
				seen[r.GetText()] = true
				texts = append(texts, r.GetText())
			}
		}
	}
	if len(texts) > 0 {
		return texts
	}
	if r, err := qrcode.NewQRCodeReader().Decode(bitmap, hints); err == nil {
		return []string{r.GetText()}
	}
	return nil
}

// quietZone is the white edge that ISO/IEC 18004 asks for, in modules.
const quietZone = 4

const (
	blackOnWhite = "\x1b[30;107m"
	colourOff    = "\x1b[0m"
)

// drawQR draws text as a QR code, two modules above each other to a character.
// With colour it is black on white whatever the terminal's colours are; without
// (in a pipe) the drawing is for light paper.
func drawQR(text string, colour bool) ([]string, error) {
	code, err := encoder.Encoder_encode(text, decoder.ErrorCorrectionLevel_M, nil)
	if err != nil {
		return nil, errors.New("the text is too long for a QR code")
	}
	m := code.GetMatrix()
	dark := func(x, y int) bool {
		return x >= 0 && y >= 0 && x < m.GetWidth() && y < m.GetHeight() && m.Get(x, y) == 1
	}
	var lines []string
	for y := -quietZone; y < m.GetHeight()+quietZone; y += 2 {
		var b strings.Builder
		if colour {
			b.WriteString(blackOnWhite)
		}
		for x := -quietZone; x < m.GetWidth()+quietZone; x++ {
			switch up, down := dark(x, y), dark(x, y+1); {
			case up && down:
				b.WriteRune('█')
			case up:
				b.WriteRune('▀')
			case down:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		if colour {
			b.WriteString(colourOff)
		}
		lines = append(lines, b.String())
	}
	return lines, nil
}

func stripColour(line string) string {
	return strings.TrimSuffix(strings.TrimPrefix(line, blackOnWhite), colourOff)
}
