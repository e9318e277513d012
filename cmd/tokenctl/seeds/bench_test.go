package seeds

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// manyCSV is a list of n fobs.
func manyCSV(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%010d,%x,totp,6,30\n", i, sha1.Sum(fmt.Append(nil, i)))
	}
	return []byte(b.String())
}

// manyPSKC is a container of n fobs, each in the shape that makers give them.
func manyPSKC(n int) []byte {
	var b strings.Builder
	b.WriteString("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<KeyContainer Version=\"1.0\" xmlns=\"urn:ietf:params:xml:ns:keyprov:pskc\">\n")
	for i := range n {
		seed := sha1.Sum(fmt.Append(nil, i))
		fmt.Fprintf(&b, "  <KeyPackage>\n    <DeviceInfo>\n      <Manufacturer>oath.XX</Manufacturer>\n      <SerialNo>%010d</SerialNo>\n    </DeviceInfo>\n"+
			"    <Key Id=\"%010d\" Algorithm=\"urn:ietf:params:xml:ns:keyprov:pskc:totp\">\n      <AlgorithmParameters>\n        <ResponseFormat Length=\"6\" Encoding=\"DECIMAL\"/>\n      </AlgorithmParameters>\n"+
			"      <Data>\n        <Secret>\n          <PlainValue>%s</PlainValue>\n        </Secret>\n        <Time>\n          <PlainValue>0</PlainValue>\n        </Time>\n        <TimeInterval>\n          <PlainValue>60</PlainValue>\n        </TimeInterval>\n      </Data>\n"+
			"      <Policy>\n        <StartDate>2026-05-01T00:00:00Z</StartDate>\n        <ExpiryDate>2037-12-31T00:00:00Z</ExpiryDate>\n      </Policy>\n    </Key>\n  </KeyPackage>\n",
			i, i, base64.StdEncoding.EncodeToString(seed[:]))
	}
	b.WriteString("</KeyContainer>\n")
	return []byte(b.String())
}

// bench reads data and reports what its rows took, and the memory beside the file.
func bench(b *testing.B, data []byte, rows int) {
	b.Helper()
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	peak := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		s, err := Read(b.Context(), data, Options{}, Sink{Fob: func(f Fob) error {
			if n++; n%20_000 == 0 {
				runtime.ReadMemStats(&now)
				peak = max(peak, now.HeapAlloc-min(now.HeapAlloc, before.HeapAlloc))
			}
			f.Wipe()
			return nil
		}})
		if err != nil || s.Fobs != rows {
			b.Fatalf("%d rows, %v", s.Fobs, err)
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(peak)/(1<<20), "MiB-beside")
	b.ReportMetric(float64(len(data))/(1<<20), "MiB-file")
}

func BenchmarkCSV100k(b *testing.B)  { bench(b, manyCSV(100_000), 100_000) }
func BenchmarkPSKC100k(b *testing.B) { bench(b, manyPSKC(100_000), 100_000) }

// TestMany: what the benchmarks read is read as it was written.
func TestMany(t *testing.T) {
	const n = 2000
	for name, data := range map[string][]byte{"CSV": manyCSV(n), "PSKC": manyPSKC(n)} {
		r, err := readAll(t.Context(), data, Options{})
		if err != nil || len(r.rows) != n || len(r.skips) != 0 {
			t.Fatalf("%s: %d rows, %v", name, len(r.rows), err)
		}
		for i, f := range r.rows {
			if f.Serial != fmt.Sprintf("%010d", i) || [20]byte(f.Secret) != sha1.Sum(fmt.Append(nil, i)) {
				t.Fatalf("%s: row %d is another", name, i)
			}
		}
	}
}
