# identity.py: certificates as a core makes them, and others.  SPDX-License-Identifier: Apache-2.0
import os
import subprocess

OWN_NAMES = "DNS:localhost,IP:127.0.0.1,IP:::1"


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, stdin=subprocess.DEVNULL)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, content):
    """At once, and readable by its owner only."""
    with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    os.rename(path + ".new", path)


class Identity:
    """A certificate, its key, and the file that holds both: `combined`."""

    def __init__(self, folder, name="core", names=OWN_NAMES, days=3650, signed_by=None):
        self.path = os.path.join(folder, name)
        self.certificate, self.key, self.combined = (self.path + end for end in (".crt", ".key", ".pem"))
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", self.key)
        if signed_by:
            self.be_signed(names, days, signed_by)
        else:
            self.sign_self(names, days)
        write(self.combined, read(self.certificate) + read(self.key))

    def sign_self(self, names, days):
        request = self.path + ".self"
        openssl("req", "-x509", "-key", self.key, "-out", request, "-days", "3650", "-subj", "/O=Test of configstream",
                "-addext", "subjectAltName=" + names, "-addext", "extendedKeyUsage=serverAuth,clientAuth")
        # "req" refuses a certificate that ended before it began, "x509" does not.
        openssl("x509", "-in", request, "-signkey", self.key, "-days", str(days), "-out", self.certificate)

    def be_signed(self, names, days, signer):
        request, extensions = self.path + ".csr", self.path + ".ext"
        openssl("req", "-new", "-key", self.key, "-out", request, "-subj", "/O=Test of configstream/CN=leaf")
        write(extensions, b"subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n" % names.encode())
        openssl("x509", "-req", "-in", request, "-CA", signer.certificate, "-CAkey", signer.key, "-CAcreateserial",
                "-days", str(days), "-extfile", extensions, "-out", self.certificate)
