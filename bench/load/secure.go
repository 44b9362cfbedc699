package load

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Bounds of the files with a secret and with certificates, in bytes.
const (
	maxSecret = 4 << 10
	maxCA     = 1 << 20
)

// secure is how a target is to be spoken to: over TLS, if tls is set, and with a secret, if there is one. It is read when the load
// begins, and no result has it.
type secure struct {
	tls    *tls.Config
	secret string
}

// secure reads the files of the configuration.
func (c Config) secure(host string, overTLS bool) (s secure, err error) {
	s.secret = c.Secret
	if c.SecretFile != "" {
		if s.secret, err = readSecret(c.SecretFile); err != nil {
			return s, fmt.Errorf("%w: secret-file: %w", ErrConfig, err)
		}
	}
	if s.secret != "" {
		if err := c.checkSecret(s.secret); err != nil {
			return s, fmt.Errorf("%w: secret: %w", ErrConfig, err)
		}
	}
	if !overTLS {
		return s, nil
	}
	s.tls = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		if s.tls.RootCAs, err = readCA(c.CAFile); err != nil {
			return s, fmt.Errorf("%w: ca-file: %w", ErrConfig, err)
		}
	}
	return s, nil
}

// readSecret returns what a file says, without the white space around it.
func readSecret(name string) (string, error) {
	text, err := readAtMost(name, maxSecret)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("%s has none", name)
	}
	return secret, nil
}

// checkSecret holds a secret against the target. Its errors do not show it.
func (c Config) checkSecret(secret string) error {
	for i := range len(secret) {
		if secret[i] < ' ' || secret[i] > '~' {
			return errors.New("it must be one line of printable ASCII")
		}
	}
	words := len(strings.Fields(secret))
	switch kind := c.Target(); {
	case kind == Sessiond && words != 1:
		return errors.New("it must be one word")
	case kind == Redis && words > 2:
		return errors.New("it must be one word, or a user and one word")
	case kind != Sessiond && kind != Redis:
		return fmt.Errorf("a %s target has no use for one", kind)
	}
	return nil
}

func readCA(name string) (*x509.CertPool, error) {
	text, err := readAtMost(name, maxCA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate", name)
	}
	return pool, nil
}

func readAtMost(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return text, err
}
