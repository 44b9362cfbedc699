package resp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/lvsession/lvsession/sessionstore"
)

// Bounds of keys, in bytes.
const (
	maxKey    = 1024
	maxPrefix = 64 // of what is kept of a plain key's name
)

// databases is how many SELECT knows, as many as Redis has by default.
const databases = 16

// kind is what a key of the protocol names.
type kind uint8

const (
	session  kind = iota // a session, the same as by HTTP: the payload is the value
	plain                // anything else: the payload is a tagged value, see value
	leaseKey             // the lease of one of the two
)

// name is a key of the protocol.
type name struct {
	kind   kind
	of     kind // of a lease: what it is the lease of
	key    sessionstore.Key
	prefix string // of a plain key: what SCAN may show of it
}

var lockSuffix = []byte("_LOCK")

// names maps the keys of the protocol to those of a store.
type names struct {
	prefixes []string // of session ids
	standIns standIns
}

// name returns what a key names in a namespace. ok is false for a key that is empty or too long.
//
// A session id after one of the prefixes names the session with that id. Any other key is hashed whole, after the
// namespace and two NULs: no session id begins with a NUL, so the two never meet.
func (n *names) name(namespace string, key []byte) (_ name, ok bool) {
	if len(key) == 0 || len(key) > maxKey {
		return name{}, false
	}
	if of, lock := bytes.CutSuffix(key, lockSuffix); lock && len(of) > 0 {
		held, _ := n.name(namespace, of)
		if held.kind == leaseKey {
			return plainName(namespace, key), true // …_LOCK_LOCK: a lock has no lock
		}
		held.kind, held.of = leaseKey, held.kind
		return held, true
	}
	for _, prefix := range n.prefixes {
		if id, is := strings.CutPrefix(string(key), prefix); is && sessionstore.CheckID(id) == nil {
			return name{kind: session, key: sessionstore.NewKey(namespace, id)}, true
		}
	}
	if name, ok := n.standIns.open(namespace, key); ok {
		return name, true
	}
	return plainName(namespace, key), true
}

func plainName(namespace string, key []byte) name {
	var buf [sessionstore.MaxNamespaceLength + 2 + maxKey]byte
	whole := append(append(append(buf[:0], namespace...), 0, 0), key...)
	return name{kind: plain, key: sha256.Sum256(whole), prefix: prefixOf(key)}
}

// prefixOf returns what may be kept of a key: all up to its last colon, since clients put their ids after one.
func prefixOf(key []byte) string {
	p := key[:bytes.LastIndexByte(key, ':')+1]
	if len(p) > maxPrefix {
		return ""
	}
	return string(p)
}

// database returns the namespace of a database: 0 is the namespace itself.
func database(namespace string, n int64) (string, bool) {
	if n == 0 {
		return namespace, true
	}
	db := namespace + "-db" + strconv.FormatInt(n, 10)
	return db, n > 0 && n < databases && sessionstore.CheckNamespace(db) == nil
}

// standIns make names for keys whose names are not stored: a prefix, a mark and the store's key, enciphered so that
// whoever has read a store's keys somewhere cannot turn them into names. They are good on this sessiond, in one
// namespace, while the process lives.
type standIns struct {
	block cipher.Block
	mac   []byte
}

// Parts of a stand-in after its prefix.
const (
	standInMark = '#'
	macSize     = 8
	standInSize = 2 * (sha256.Size + macSize) // in hexadecimal
)

func newStandIns() standIns {
	secret := make([]byte, 32+32)
	rand.Read(secret) // never fails
	block, err := aes.NewCipher(secret[:32])
	if err != nil {
		panic(err) // 32 bytes are a key
	}
	return standIns{block: block, mac: secret[32:]}
}

// seal returns the stand-in of a store's key. As a key of a store is a hash, a fixed vector gives nothing away.
func (s *standIns) seal(namespace string, kind kind, prefix string, key sessionstore.Key) string {
	sealed := make([]byte, len(key), len(key)+macSize)
	cipher.NewCBCEncrypter(s.block, make([]byte, aes.BlockSize)).CryptBlocks(sealed, key[:])
	sealed = append(sealed, s.tag(namespace, kind, prefix, sealed)...)
	return prefix + string(standInMark) + hex.EncodeToString(sealed)
}

// open undoes seal.
func (s *standIns) open(namespace string, text []byte) (name, bool) {
	at := len(text) - standInSize - 1
	if at < 0 || text[at] != standInMark {
		return name{}, false
	}
	sealed := make([]byte, standInSize/2)
	if _, err := hex.Decode(sealed, text[at+1:]); err != nil {
		return name{}, false
	}
	prefix, tag := string(text[:at]), sealed[sha256.Size:]
	sealed = sealed[:sha256.Size]
	for _, kind := range []kind{session, plain} {
		if hmac.Equal(tag, s.tag(namespace, kind, prefix, sealed)) {
			n := name{kind: kind, prefix: prefix}
			cipher.NewCBCDecrypter(s.block, make([]byte, aes.BlockSize)).CryptBlocks(n.key[:], sealed)
			return n, true
		}
	}
	return name{}, false
}

func (s *standIns) tag(namespace string, kind kind, prefix string, sealed []byte) []byte {
	h := hmac.New(sha256.New, s.mac)
	h.Write([]byte{byte(kind)})
	h.Write([]byte(namespace))
	h.Write([]byte{0})
	h.Write(sealed)
	h.Write([]byte(prefix))
	return h.Sum(nil)[:macSize]
}
