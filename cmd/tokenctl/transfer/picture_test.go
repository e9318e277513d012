package transfer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"slices"
	"strings"
	"testing"
)

// TestPictures puts many codes into one picture, light on dark, as a photograph
// too large to be looked through point by point.
func TestPictures(t *testing.T) {
	const across, down = 3, 2
	sheet := image.NewGray(image.Rect(0, 0, across*420, down*420))
	draw.Draw(sheet, sheet.Bounds(), image.White, image.Point{}, draw.Src)
	var want []string
	for i := range across * down {
		code, err := png.Decode(bytes.NewReader(drawCodes(t, strings.Replace(annaURI(), "period=30", fmt.Sprintf("period=%d", 31+i), 1))))
		if err != nil {
			t.Fatal(err)
		}
		at := image.Pt(i%across*420+10, i/across*420+10)
		draw.Draw(sheet, code.Bounds().Add(at), code, image.Point{}, draw.Src)
		want = append(want, strings.Replace(wantAnna(), "6 30", fmt.Sprintf("6 %d", 31+i), 1))
	}
	inverted := image.NewGray(sheet.Bounds())
	for i, v := range sheet.Pix {
		inverted.Pix[i] = 255 - v
	}
	large := image.NewRGBA(image.Rect(0, 0, 2*sheet.Bounds().Dx(), 2*sheet.Bounds().Dy()))
	for y := range large.Bounds().Dy() {
		for x := range large.Bounds().Dx() {
			v := sheet.GrayAt(x/2, y/2).Y
			large.SetRGBA(x, y, color.RGBA{20 + v/2, 30 + v/2, 10 + v/2, 255})
		}
	}
	if b := large.Bounds(); b.Dx()*b.Dy() <= scanPixels {
		t.Fatalf("%v is not large", b)
	}
	for name, img := range map[string]image.Image{"dark on light": sheet, "light on dark": inverted, "large": large} {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 70}); err != nil {
			t.Fatal(err)
		}
		res, err := Read(t.Context(), b.Bytes(), "", Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := rowsOf(res); !slices.Equal(got, want) || len(res.Skipped) > 0 {
			t.Errorf("%s: %d of %d codes, %+v", name, len(got), len(want), res.Skipped)
		}
		if len(res.Notes) != 1 {
			t.Errorf("%s: notes %q", name, res.Notes)
		}
	}
}

func TestForeignCodes(t *testing.T) {
	res, err := Read(t.Context(), drawCodes(t, "WIFI:S:home;P:"+testPassword+";;"), "", Options{})
	if err != nil || len(res.Rows) != 0 || len(res.Skipped) != 1 {
		t.Fatalf("%+v %v", res, err)
	}
	checkQuiet(t, res, err)
	if _, err := Read(t.Context(), hugePicture(t), "", Options{}); KindOf(err) != TooLarge {
		t.Errorf("a picture of 10,000 million points: %v", err)
	}
}

// hugePicture has a header alone.
func hugePicture(t *testing.T) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		t.Fatal(err)
	}
	data := b.Bytes()
	copy(data[16:], "\x00\x01\x86\xa0\x00\x01\x86\xa0")
	binary.BigEndian.PutUint32(data[29:], crc32.ChecksumIEEE(data[12:29])) // the header's checksum has to fit
	return data
}
