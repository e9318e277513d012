package seeds

import "testing"

func safeNetFixtures() []fixture {
	token := func(serial, application string) string {
		return "<Token serial=\"" + serial + "\">\n<CaseModel>5</CaseModel><ProductName>eToken PASS</ProductName>\n<Applications>" + application + "</Applications>\n</Token>\n"
	}
	app := func(s string) string { return "<Application ConnectorID=\"{1}\">" + s + "</Application>" }
	return []fixture{
		{
			name: "SafeNet", format: "SafeNet or Aladdin XML",
			data: "<?xml version=\"1.0\"?>\n<Tokens>\n" +
				token("00A1", app("<Seed>"+hx(seed20)+"</Seed><MovingFactor>7</MovingFactor>")) +
				token("00A2", app("<Seed> "+hx(seed32)+" </Seed>")) +
				token("00A3", app("<Seed>123412354</Seed><MovingFactor>1</MovingFactor>")) +
				token("00A4", app("<Seed>12345678</Seed>")) +
				token("00A5", app("<MovingFactor>1</MovingFactor>")) +
				token("00A6", app("<Seed>"+hx(seed20)+"</Seed>")+app("<Seed>"+hx(seed32)+"</Seed>")) +
				token("00A1", app("<Seed>"+hx(seed20)+"</Seed>")) +
				token("00A7", app("<Seed>"+hx(seed20)+"</Seed><TimeInterval>30</TimeInterval>")) +
				token("", app("<Seed>"+hx(seed20)+"</Seed>")) +
				token("00A8", app("<Seed>"+hx(seed20)+"</Seed><MovingFactor>-1</MovingFactor>")) +
				"</Tokens>\n",
			want: []string{
				"00A1 hotp SHA1 6 0 7 " + hx(seed20) + " /eToken PASS",
				"00A2 hotp SHA256 6 0 0 " + hx(seed32) + " /eToken PASS",
			},
			skips: []string{
				"line 11|00A3|secret|its seed has an odd number", "line 15|00A4|secret|its seed has only 4 bytes", "line 19|00A5|Seed|it has no seed",
				"line 23|00A6|Applications|it has 2 seeds", "line 27|00A1|serial|its serial number is that of line 3", "line 31|00A7|TimeInterval|it seems to count time",
				"line 35||serial|it has no serial number", "line 39|00A8|counter|its counter is no whole number",
			},
		},
		{
			name: "SafeNet, broken", format: "SafeNet or Aladdin XML", kind: Damaged,
			data: "<Tokens>\n" + token("00A1", app("<Seed>"+hx(seed20)+"</Seed>")) + "<Token serial=\"00A2\"><WRONG>5</CaseModel></Token></Tokens>",
			want: []string{"00A1 hotp SHA1 6 0 0 " + hx(seed20) + " /eToken PASS"},
		},
	}
}

func FuzzSafeNet(f *testing.F) { fuzzFormat(f, safeNet{}) }
