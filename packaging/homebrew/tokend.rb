# Homebrew's formula; packaging/packages.sh fills in the version and the archive's hash.
class Tokend < Formula
  desc "Two-factor codes from a vault whose keys live in a hardware token"
  homepage "https://github.com/tokenbridge/tokend"
  url "https://github.com/tokenbridge/tokend/releases/download/v@VERSION@/@SOURCE@"
  sha256 "@SHA256@"
  license "Apache-2.0"
  head "https://github.com/tokenbridge/tokend.git", branch: "main"

  depends_on "go" => :build
  depends_on "pkgconf" => :build

  # FIDO2 keys are driven on Linux alone; PIV cards on macOS by its own PC/SC.
  on_linux do
    depends_on "libfido2"
    depends_on "pcsc-lite"
  end

  def install
    ENV["GO"] = Formula["go"].opt_bin/"go"
    ENV["VERSION"] = build.head? ? "" : "v#{version}"
    ENV["SOURCE_DATE_EPOCH"] = "@EPOCH@" unless build.head?
    system "packaging/build.sh", buildpath/"out"
    bin.install "out/tokend", "out/tokenctl"
    (libexec/"tokend").install "out/tokend-helper"
    doc.install Dir["docs/*.md"], "README.md"
    (share/"tokend").install Dir["packaging/launchd/*.plist"]
    generate_completions_from_executable(bin/"tokenctl", "completion")
  end

  # A daemon of the user's own; its vault is in ~/.local/state/tokend.
  service do
    run [opt_bin/"tokend", "serve", "--user"]
    keep_alive true
    log_path var/"log/tokend.log"
    error_log_path var/"log/tokend.log"
  end

  def caveats
    <<~EOS
      The vaults are in ~/.local/state/tokend. "brew uninstall" leaves them there;
      "tokenctl purge" removes one, and says first what would be lost.
    EOS
  end

  test do
    assert_match "tokenctl", shell_output("#{bin}/tokenctl --help")
    assert_match "state_dir", shell_output("#{bin}/tokend config sample")
  end
end
