package seeds

import "testing"

func yubicoFixtures() []fixture {
	const aes, private = "000102030405060708090a0b0c0d0e0f", "0102030405aa"
	return []fixture{
		{
			name: "Yubico's log", format: "log of the YubiKey Personalization Tool",
			data: "LOGGING START,04.05.26 18:00\n" +
				"Yubico OTP,04.05.26 18:01,1,cccccccccdbe," + private + "," + aes + ",,,0,0,0,0,0,0,0,0,0,1\n" +
				"Yubico OTP,04.05.26 18:02,1,CCCCCCCCCDBF," + private + "," + aes + ",,,0,0,0,0,0,0,0,0,0,1\n" +
				"Yubico OTP,04.05.26 18:03,1,,," + aes + ",,,0,0,0,0,0,0,0,0,0,0\n" +
				"Yubico OTP,04.05.26 18:04,1,,010203040506," + aes + ",,,0,0,0,0,0,0,0,0,0,0\n" +
				"Yubico OTP,04.05.26 18:05,1,cccc," + private + "," + aes + ",,,0,0,0,0,0,0,0,0,0,0\n" +
				"Yubico OTP,04.05.26 18:06,1,cccccccccdbx," + private + "," + aes + ",,,0,0,0,0,0,0,0,0,0,0\n" +
				"Yubico OTP,04.05.26 18:07,1,cccccccccdbg," + private + "," + hx(seed20) + ",,,0,0,0,0,0,0,0,0,0,0\n" +
				"Yubico OTP,04.05.26 18:08,1,cccccccccdbh,01," + aes + ",,,0,0,0,0,0,0,0,0,0,0\n" +
				"OATH-HOTP,04.05.26 18:09,1,cccccccccccc,," + hx(seed20) + ",,,0,0,0,6,0,0,0,0,0,0\n" +
				"OATH-HOTP,04.05.26 18:10,2,ubhehehehehe,," + hx(seed20) + ",,,0,0,0,8,0,0,0,0,0,0\n" +
				"Static Password: Scan Code,04.05.26 18:11,1,051212172c092728,,,,,0,0,0,0,0,0,0,0,0,0\n" +
				"Challenge-Response: HMAC-SHA1,04.05.26 18:12,2,,," + hx(seed20) + ",,,0,0,0,0,1,0,0,0,0,0\n" +
				"Yubico OTP,04.05.26 18:13,1,cccccccccdbe," + private + "," + aes + ",,,0,0,0,0,0,0,0,0,0,1\n",
			want: []string{
				"cccccccccdbe yubico  0 0 0 " + aes + " 000000000213 " + private + " Yubico/",
				"CCCCCCCCCDBF yubico  0 0 0 " + aes + " 000000000214 " + private + " Yubico/",
			},
			skips: []string{
				"line 4||public id|it has neither a public nor a private id", "line 5||public id|it has no public id", "line 6|cccc|public id|its public id has 2 bytes",
				"line 7|cccccccccdbx|public id|its public id is not modhex", "line 8|cccccccccdbg|secret|its AES key has 20 bytes", "line 9|cccccccccdbh|private id|its private id has 1 bytes",
				"line 10||serial|the log has neither a serial number", "line 11|ubhehehehehe|public id|its passcodes of HOTP begin", "line 12|||it is a static password",
				"line 13|||it is for challenge and response", "line 14|cccccccccdbe|serial|its serial number is that of line 2",
			},
		},
		{
			name: "Yubico CSV", format: "Yubico CSV",
			data: "# programmed on Monday\n" +
				"508326,cccccccccdbe," + private + "," + aes + ",,2026-05-04T18:00:00,\n" +
				"508327,,0," + hx(seed20) + ",,2026-05-04T18:01:00,\n" +
				"508328,,," + aes + ",,2026-05-04T18:02:00,\n" +
				"508329,cccccccccdbf,0," + hx(seed20) + ",,2026-05-04T18:03:00,\n" +
				",cccccccccdbg," + private + "," + aes + ",,2026-05-04T18:04:00,\n" +
				"508330,cccccccccdbh,zz," + aes + ",,2026-05-04T18:05:00,\n",
			want: []string{
				"508326 yubico  0 0 0 " + aes + " 000000000213 " + private + " Yubico/",
				"508327 hotp SHA1 6 0 0 " + hx(seed20) + " Yubico/",
				"cccccccccdbg yubico  0 0 0 " + aes + " 000000000215 " + private + " Yubico/",
			},
			skips: []string{"line 4|508328|private id|it is a static password", "line 5|508329|public id|its passcodes of HOTP begin", "line 7|508330||it is no row"},
		},
	}
}

func FuzzYubicoLog(f *testing.F) { fuzzFormat(f, yubicoLog{}) }
func FuzzYubicoCSV(f *testing.F) { fuzzFormat(f, yubicoCSV{}) }
