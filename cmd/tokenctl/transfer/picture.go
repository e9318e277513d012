package transfer

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // pictures of QR codes
	_ "image/jpeg"
	_ "image/png"
	"slices"
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

// slowPixels is from where on looking through a picture can take seconds.
const slowPixels = 1 << 20

// Read implements Format.
func (p picture) Read(ctx context.Context, f *File, o Options) (Result, error) {
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
	if conf.Width*conf.Height > slowPixels {
		o.announce(p.Name(), 0)
	}
	texts, err := scanCodes(ctx, img)
	if err != nil {
		return Result{}, err
	}
	if len(texts) == 0 {
		return Result{}, problem(NoAccounts, p.Name(), "no QR code was found in it, or the code is damaged")
	}
	c := collect(p.Name())
	for i, text := range texts {
		where := fmt.Sprintf("code %d", i+1)
		text = strings.TrimSpace(text)
		if hasScheme(text, schemeMigration) {
			c.readPart(where, text)
			continue
		}
		if hasScheme(text, schemeActivation) {
			c.skip(where, "", "", "it is an activation link of an authority, for tokenctl activate, and no account")
			continue
		}
		e := entry{where: where}
		if reason := parseAddress(&e, text); reason != "" {
			c.skip(where, e.issuer, e.name, reason)
			continue
		}
		c.add(e)
	}
	if len(texts) > 1 {
		c.note("%d QR codes were read; count them, since one that is blurred or cut off is not seen", len(texts))
	}
	return c.Result, nil
}

// scanPixels is how large a picture is scanned in parts; larger ones are scanned
// made smaller, and as they are only where that shows nothing.
const scanPixels = 4 << 20

// scanCodes finds the different texts in a picture.
func scanCodes(ctx context.Context, img image.Image) ([]string, error) {
	small := shrink(img, scanPixels)
	texts, err := scanSource(ctx, gozxing.NewLuminanceSourceFromImage(small), true)
	if err == nil && len(texts) == 0 && small != img {
		texts, err = scanSource(ctx, gozxing.NewLuminanceSourceFromImage(img), false)
	}
	return texts, err
}

// shrink averages squares of points, so that no more than so many are left.
func shrink(img image.Image, most int) image.Image {
	b := img.Bounds()
	k := 1
	for b.Dx()/k*(b.Dy()/k) > most {
		k++
	}
	if k == 1 {
		return img
	}
	out := image.NewGray(image.Rect(0, 0, b.Dx()/k, b.Dy()/k))
	for y := range b.Dy() / k {
		for x := range b.Dx() / k {
			sum := 0
			for dy := range k {
				for dx := range k {
					gray, _ := color.GrayModel.Convert(img.At(b.Min.X+x*k+dx, b.Min.Y+y*k+dy)).(color.Gray)
					sum += int(gray.Y)
				}
			}
			out.Pix[y*out.Stride+x] = byte(sum / (k * k))
		}
	}
	return out
}

// scanSource looks for codes dark on light, then light on dark, in the whole and,
// where parts are wanted, in overlapping ones: the detector takes the corners of
// neighbouring codes for one.
func scanSource(ctx context.Context, source gozxing.LuminanceSource, parts bool) ([]string, error) {
	var texts []string
	whole := image.Rect(0, 0, source.GetWidth(), source.GetHeight())
	areas := []image.Rectangle{whole}
	if parts {
		areas = tiles(whole.Dx(), whole.Dy())
	}
	for _, s := range []gozxing.LuminanceSource{source, gozxing.NewInvertedLuminanceSource(source)} {
		for _, r := range areas {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			part := s
			if r != whole {
				var err error
				if part, err = s.Crop(r.Min.X, r.Min.Y, r.Dx(), r.Dy()); err != nil {
					continue
				}
			}
			for _, t := range scanArea(part) {
				if !slices.Contains(texts, t) {
					texts = append(texts, t)
				}
			}
		}
		if len(texts) > 0 {
			break
		}
	}
	return texts, nil
}

// scanArea tries both ways of telling dark from light.
func scanArea(s gozxing.LuminanceSource) []string {
	for _, b := range []gozxing.Binarizer{gozxing.NewHybridBinarizer(s), gozxing.NewGlobalHistgramBinarizer(s)} {
		if found := scanPart(b); len(found) > 0 {
			return found
		}
	}
	return nil
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
