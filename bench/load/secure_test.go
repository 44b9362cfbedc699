package load_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/bench/load"
	"github.com/lvsession/lvsession/bench/rig/sessiond"
)

// certificate returns files with a certificate of 127.0.0.1 and its key: httptest's.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pair := s.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, dir, "crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))),
		write(t, dir, "key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Session servers are loaded over TLS, and with the secret that they ask for; no result shows it.
func TestRunSecurely(t *testing.T) {
	const secret = "s3cret-of-shop"
	dir := t.TempDir()
	program, err := sessiond.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := certificate(t, dir)
	http, redis := freeAddr(t), freeAddr(t)
	server, err := program.Start(t.Context(), filepath.Join(dir, "log"), "--store", "memory", "--http-tls", http, "--redis-tls", redis,
		"--tls-cert", cert, "--tls-key", key, "--secrets-file", write(t, dir, "secrets", "shop = "+secret+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	good, wrong := write(t, dir, "good", secret+"\n"), write(t, dir, "wrong", "another\n")
	both := write(t, dir, "both", "shop "+secret)
	for _, c := range []struct {
		name string
		load.Config
		lacks string // what the error says; nothing if there is none
	}{
		{"http", load.Config{URL: "sessiond://" + server.Addr() + "/shop", SecretFile: good}, ""},
		{"https", load.Config{URL: "sessionds://" + http + "/shop", SecretFile: good, CAFile: cert}, ""},
		{"https, kept", load.Config{URL: "sessionds://" + http + "/shop", Secret: secret, CAFile: cert, KeepAlive: true}, ""},
		{"rediss", load.Config{URL: "rediss://" + redis, SecretFile: good, CAFile: cert}, ""},
		{"rediss, kept, with its user", load.Config{URL: "rediss://" + redis, SecretFile: both, CAFile: cert, KeepAlive: true}, ""},
		{"no secret", load.Config{URL: "sessionds://" + http + "/shop", CAFile: cert}, "http_401"},
		{"wrong secret", load.Config{URL: "sessionds://" + http + "/shop", SecretFile: wrong, CAFile: cert}, "http_401"},
		{"redis, wrong secret", load.Config{URL: "rediss://" + redis, SecretFile: wrong, CAFile: cert}, "redis_WRONGPASS"},
		{"redis, no secret", load.Config{URL: "rediss://" + redis, CAFile: cert}, "redis_NOAUTH"},
		{"unknown authority", load.Config{URL: "rediss://" + redis, SecretFile: good}, "bad_tls"},
		{"no TLS there", load.Config{URL: "sessionds://" + server.Addr() + "/shop", CAFile: cert}, "bad_tls"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.Users, c.Requests = 5, 30
			for name, value := range map[string]string{"mix": "visit=5,read=3,login=1,logout=1", "retry-wait": "1ms"} {
				if err := c.Set(name, value); err != nil {
					t.Fatal(err)
				}
			}
			r, err := load.Run(t.Context(), c.Config, nil)
			if c.lacks != "" {
				if !errors.Is(err, load.ErrUnreachable) || !strings.Contains(err.Error(), c.lacks) || strings.Contains(err.Error(), "another") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !r.Proven || r.Acknowledged != 150 || c.KeepAlive != (r.Connections < r.Attempts) {
				t.Errorf("%s, %d connections, %.5v", r.Reason, r.Connections, r.Errors)
			}
			if text, err := json.Marshal(r); err != nil || strings.Contains(string(text), secret) {
				t.Errorf("the result has the secret, or %v", err)
			}
		})
	}
}

// A page over TLS is loaded as others are.
func TestRunHTTPS(t *testing.T) {
	_, config := siteOf()
	over := httptest.NewUnstartedServer(config.Handler)
	over.Config.ConnContext = config.ConnContext
	over.StartTLS()
	t.Cleanup(over.Close)
	cert, _ := certificate(t, t.TempDir())
	c := load.Config{URL: over.URL + "/count", CAFile: cert, Users: 5, Requests: 20, KeepAlive: true}
	r, err := load.Run(t.Context(), c, nil)
	if err != nil || !r.Proven || r.Acknowledged != 100 || r.Connections != 5 {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestSecretsAreChecked(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]load.Config{
		"none":        {URL: "redis://127.0.0.1", SecretFile: write(t, dir, "empty", " \n")},
		"must be one": {URL: "redis://127.0.0.1", SecretFile: write(t, dir, "lines", "TOPSECRET\nTOPSECRET\n")},
		"word":        {URL: "sessiond://127.0.0.1:1", Secret: "user TOPSECRET"},
		"no use":      {URL: "http://127.0.0.1", Secret: "TOPSECRET"},
		"no such":     {URL: "redis://127.0.0.1", SecretFile: filepath.Join(dir, "missing")},
		"more than":   {URL: "redis://127.0.0.1", SecretFile: write(t, dir, "large", strings.Repeat("x", 5000))},
		"certificate": {URL: "rediss://127.0.0.1", CAFile: write(t, dir, "ca", "none")},
		"only for":    {URL: "redis://127.0.0.1", CAFile: filepath.Join(dir, "ca")},
	} {
		if _, err := load.Run(t.Context(), c, nil); !errors.Is(err, load.ErrConfig) || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "TOPSECRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
