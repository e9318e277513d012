package transfer

import (
	"bytes"
	"context"
	"fmt"
	"image"
	_ "image/gif" // pictures of QR codes
	_ "image/jpeg"
	_ "image/png"
	"strings"

	"github.com/makiuchi-d/gozxing"
	multiqr "github.com/makiuchi-d/gozxing/multi/qrcode"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// picture is a picture with one QR code or several: of accounts, or of Google's
// migration.
type picture struct{}

// Name implements Format.
func (picture) Name() string { return "picture of QR codes" }

// Detect implements Format.
func (picture) Detect(f *File) Confidence {
	for _, magic := range []string{"\x89PNG\r\n\x1a\n", "\xff\xd8\xff", "GIF87a", "GIF89a"} {
		if bytes.HasPrefix(f.Data, []byte(magic)) {
			return Sure
		}
	}
	return No
}

// maxPixels bounds a picture: a small file can unpack into a huge one.
const maxPixels = 40 << 20

// Read implements Format.
func (p picture) Read(ctx context.Context, f *File, _ Options) (Result, error) {
	conf, _, err := image.DecodeConfig(bytes.NewReader(f.Data))
	if err != nil {
		return Result{}, damaged(p.Name(), "its beginning cannot be read")
	}
	if conf.Width <= 0 || conf.Height <= 0 || conf.Width > maxPixels/conf.Height {
		return Result{}, problem(TooLarge, p.Name(), "it has %d by %d points", conf.Width, conf.Height)
	}
	img, _, err := image.Decode(bytes.NewReader(f.Data))
	if err != nil {
		return Result{}, damaged(p.Name(), "it is cut short")
	}
	texts, err := scanCodes(ctx, img)
	if err != nil {
		return Result{}, err
	}
	if len(texts) == 0 {
		return Result{}, problem(NoAccounts, p.Name(), "no QR code was found in it, or the code is damaged")
	}
	c := collect(p.Name())
	var parts migrationParts
	for i, text := range texts {
		where := fmt.Sprintf("code %d", i+1)
		text = strings.TrimSpace(text)
		if hasScheme(text, schemeMigration) {
			parts.read(c, where, text)
			continue
		}
		e := entry{where: where}
		if reason := parseAddress(&e, text); reason != "" {
			c.skip(where, e.issuer, e.name, reason)
			continue
		}
		c.add(e)
	}
	parts.finish(c)
	return c.Result, nil
}

// scanCodes finds the different texts in a picture: dark on light and light on
// dark, in the whole and in overlapping parts of it, since the detector takes the
// corners of neighbouring codes for one.
func scanCodes(ctx context.Context, img image.Image) ([]string, error) {
	source := gozxing.NewLuminanceSourceFromImage(img)
	var texts []string
	seen := map[string]bool{}
	keep := func(found []string) {
		for _, t := range found {
			if !seen[t] {
				seen[t] = true
				texts = append(texts, t)
			}
		}
	}
	for _, s := range []gozxing.LuminanceSource{source, gozxing.NewInvertedLuminanceSource(source)} {
		for _, r := range tiles(source.GetWidth(), source.GetHeight()) {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			part := s
			if r != image.Rect(0, 0, s.GetWidth(), s.GetHeight()) {
				var err error
				if part, err = s.Crop(r.Min.X, r.Min.Y, r.Dx(), r.Dy()); err != nil {
					continue
				}
			}
			for _, b := range []gozxing.Binarizer{gozxing.NewHybridBinarizer(part), gozxing.NewGlobalHistgramBinarizer(part)} {
				found := scanPart(b)
				keep(found)
				if len(found) > 0 {
					break
				}
			}
		}
		if len(texts) > 0 {
			break
		}
	}
	return texts, nil
}

// tiles are the whole, and its halves and thirds, which overlap by half.
func tiles(w, h int) []image.Rectangle {
	all := []image.Rectangle{image.Rect(0, 0, w, h)}
	const least = 120 // points; smaller parts hold no code of an account
	for _, n := range []int{2, 3} {
		tw, th := w/n, h/n
		if tw < least && th < least {
			break
		}
		xs, ys := 2*n-1, 2*n-1
		if tw < least {
			tw, xs = w, 1
		}
		if th < least {
			th, ys = h, 1
		}
		for y := range ys {
			for x := range xs {
				all = append(all, image.Rect(x*tw/2, y*th/2, x*tw/2+tw, y*th/2+th))
			}
		}
	}
	return all
}

// scanPart must not let a picture that nobody foresaw end the program: the decoder
// is foreign code, and indexes into what it believes to see.
func scanPart(binarizer gozxing.Binarizer) (texts []string) {
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
	if results, err := multiqr.NewQRCodeMultiReader().DecodeMultiple(bitmap, hints); err == nil {
		for _, r := range results {
			texts = append(texts, r.GetText())
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
