package sessionstore

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// Lengths of a session id in bytes, PHP's own range (session.sid_length).
const (
	MinIDLength = 22
	MaxIDLength = 256
)

// MaxNamespaceLength is the longest namespace, in bytes.
const MaxNamespaceLength = 64

// MaxSubjectLength is the longest name of a subject, in bytes.
const MaxSubjectLength = 256

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewID returns a new session id: 256 random bits as 52 characters of [a-z2-7], which need no quoting in a cookie, a
// URL or a shell.
func NewID() string {
	var b [32]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return idEncoding.EncodeToString(b[:])
}

// CheckID reports whether id may name a session: 22 to 256 characters of [A-Za-z0-9,-], what PHP accepts. The error
// wraps [ErrInvalid], says what is wrong, and never repeats the id.
func CheckID(id string) error {
	if n := len(id); n < MinIDLength || n > MaxIDLength {
		return fmt.Errorf("%w: a session id has %d to %d characters, this one has %d", ErrInvalid, MinIDLength, MaxIDLength, n)
	}
	for i := range len(id) {
		if !idByte[id[i]] {
			return fmt.Errorf("%w: a session id consists of A-Z, a-z, 0-9, comma and hyphen; byte %d is %#02x", ErrInvalid, i, id[i])
		}
	}
	return nil
}

// CheckNamespace reports whether name may name a namespace: 1 to 64 characters of [a-z0-9_.-], the first a letter or
// digit. The error wraps [ErrInvalid].
func CheckNamespace(name string) error {
	if n := len(name); n < 1 || n > MaxNamespaceLength {
		return fmt.Errorf("%w: a namespace has 1 to %d characters, this one has %d", ErrInvalid, MaxNamespaceLength, n)
	}
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || strings.IndexByte("_.-", c) < 0) {
			return fmt.Errorf("%w: a namespace consists of a-z, 0-9, and after the first of them also _ . -; byte %d is %#02x", ErrInvalid, i, c)
		}
	}
	return nil
}

// idByte tells the bytes that a session id may have.
var idByte = func() (t [256]bool) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789,-"
	for i := range len(alphabet) {
		t[alphabet[i]] = true
	}
	return t
}()

// Key names a session inside a store: SHA-256 of the namespace, a NUL and the session id. It is all that a store sees,
// so whoever reads a table or a backup can take over no session.
type Key [sha256.Size]byte

// NewKey returns the key of a session id in a namespace. Both must have passed [CheckNamespace] and [CheckID]: neither
// can hold a NUL then, so no two pairs share a key.
func NewKey(namespace, id string) Key {
	b := make([]byte, 0, MaxNamespaceLength+1+MaxIDLength)
	b = append(b, namespace...)
	b = append(b, 0)
	b = append(b, id...)
	return sha256.Sum256(b)
}

// NewSubject returns the key under which a store finds the sessions of one user: SHA-256 of a mark that no namespace
// begins with, the namespace, a NUL, and whatever the application calls the user by, any bytes. It is no session's key.
// A subject that can be guessed, such as a number, can be found by whoever reads the table; what they learn is which
// sessions are that user's, not the sessions' ids.
func NewSubject(namespace, subject string) Key {
	h := sha256.New()
	io.WriteString(h, "\x00subject\x00")
	io.WriteString(h, namespace)
	io.WriteString(h, "\x00")
	io.WriteString(h, subject)
	return Key(h.Sum(nil))
}

// String returns the key's first 48 bits in hexadecimal: enough to find a session in a log, useless to take it over.
func (k Key) String() string { return hex.EncodeToString(k[:6]) }
