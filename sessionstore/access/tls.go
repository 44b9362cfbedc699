package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Files are where a server's certificates lie, in PEM. They may be replaced at any time: new connections get the new
// ones within recheck, and as long as the new ones do not fit together, the old ones.
type Files struct {
	Cert string // chain, the server's own certificate first
	Key  string
	// ClientCA, if not "", are the authorities of clients: a client must show a certificate of one of them.
	ClientCA string
}

// recheck is how often files are looked at, at most.
const recheck = 2 * time.Second

// TLS returns a configuration that follows the files. It fails if they are unusable now. A nil logger discards.
func (f Files) TLS(log *slog.Logger) (*tls.Config, error) {
	if f.Cert == "" || f.Key == "" {
		return nil, errors.New("TLS needs a certificate and its key")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &certificates{files: f, log: log, now: time.Now}
	if err := c.load(c.marks()); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(), nil },
	}, nil
}

// certificates are what the files held when they were last good.
type certificates struct {
	files Files
	log   *slog.Logger
	now   func() time.Time

	mu      sync.Mutex
	config  *tls.Config
	loaded  [3]mark // of the files that config came from, or that were no good
	checked time.Time
}

// mark tells whether a file is still the same.
type mark struct {
	mtime time.Time
	size  int64
	inode fs.FileInfo
}

func (c *certificates) marks() (m [3]mark) {
	for i, path := range []string{c.files.Cert, c.files.Key, c.files.ClientCA} {
		if info, err := os.Stat(path); err == nil {
			m[i] = mark{info.ModTime(), info.Size(), info}
		}
	}
	return m
}

func same(a, b [3]mark) bool {
	for i := range a {
		if !a[i].mtime.Equal(b[i].mtime) || a[i].size != b[i].size || (a[i].inode == nil) != (b[i].inode == nil) ||
			a[i].inode != nil && !os.SameFile(a[i].inode, b[i].inode) {
			return false
		}
	}
	return true
}

// current returns the configuration for a new connection.
func (c *certificates) current() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if now.Sub(c.checked) < recheck {
		return c.config
	}
	c.checked = now
	if m := c.marks(); !same(m, c.loaded) {
		if err := c.load(m); err != nil {
			c.log.Warn("new certificates are no good, the old ones stay in use", "error", err)
		} else {
			c.log.Info("certificates were replaced", "certificate", c.files.Cert)
		}
	}
	return c.config
}

// load reads the files. What cannot be used changes nothing, and is not tried again before it changes.
func (c *certificates) load(m [3]mark) error {
	c.loaded = m
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return fmt.Errorf("TLS certificate: %w", err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if c.files.ClientCA != "" {
		pem, err := os.ReadFile(c.files.ClientCA)
		if err != nil {
			return fmt.Errorf("TLS client authorities: %w", err)
		}
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("TLS client authorities: no certificate in %s", c.files.ClientCA)
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.config = config
	return nil
}
