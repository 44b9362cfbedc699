package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority issues certificates for a test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	a.cert, a.key = a.issue(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	return a
}

// issue makes a certificate from a template, signed by the authority, or by itself if that has none yet.
func (a *authority) issue(c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	a.n++
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c.SerialNumber = big.NewInt(a.n)
	c.Subject = pkix.Name{CommonName: "test"}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return parsed, key
}

// server writes a server's certificate and key and returns the certificate's number.
func (a *authority) server(f Files) *big.Int {
	a.t.Helper()
	cert, key := a.issue(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	write(a.t, f.Key, "EC PRIVATE KEY", der)
	write(a.t, f.Cert, "CERTIFICATE", cert.Raw)
	return cert.SerialNumber
}

func write(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shake makes a handshake and returns the number of the server's certificate.
func shake(server, client *tls.Config) (*big.Int, error) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	done := make(chan error, 1)
	go func() {
		s := tls.Server(b, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("x"))
		}
		b.Close()
		done <- err
	}()
	c := tls.Client(a, client)
	_, err := io.ReadFull(c, make([]byte, 1))
	a.Close()
	<-done
	if err != nil {
		return nil, err
	}
	return c.ConnectionState().PeerCertificates[0].SerialNumber, nil
}

func TestCertificatesAreReplaced(t *testing.T) {
	dir, a := t.TempDir(), newAuthority(t)
	f := Files{Cert: filepath.Join(dir, "cert"), Key: filepath.Join(dir, "key"), ClientCA: filepath.Join(dir, "ca")}
	write(t, f.ClientCA, "CERTIFICATE", a.cert.Raw)
	first := a.server(f)
	now := time.Now()
	c := &certificates{files: f, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
	if err := c.load(c.marks()); err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil }}
	clientCert, clientKey := a.issue(&x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	client := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", Certificates: []tls.Certificate{{Certificate: [][]byte{clientCert.Raw}, PrivateKey: clientKey}}}
	want := func(number *big.Int) {
		t.Helper()
		now = now.Add(recheck)
		if got, err := shake(config, client); err != nil || got.Cmp(number) != 0 {
			t.Fatalf("certificate %v, %v; want %v", got, err, number)
		}
	}
	want(first)
	if _, err := shake(config, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}); err == nil {
		t.Error("a client without a certificate got in")
	}
	if err := os.WriteFile(f.Key, []byte("not a key, for now"), 0o600); err != nil {
		t.Fatal(err)
	}
	want(first)
	want(a.server(f))
}

func TestTLSNeedsFiles(t *testing.T) {
	for _, f := range []Files{{}, {Cert: "/nonexistent", Key: "/nonexistent"}} {
		if _, err := f.TLS(nil); err == nil {
			t.Errorf("%v: no error", f)
		}
	}
}
