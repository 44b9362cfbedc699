package phpsession

import "strconv"

// Key is the key of an array's element: an integer or a string, and never a string that PHP takes for an integer.
// Properties of objects and names of sessions are the exception: those are strings always.
type Key struct {
	text    string
	number  int64
	integer bool
}

// KeyOf returns the key that PHP makes of a string: "17" is the integer 17, "017" is not.
func KeyOf(s string) Key {
	if n, ok := integerKey(s); ok {
		return IntKey(n)
	}
	return Key{text: s}
}

// IntKey returns an integer key.
func IntKey(n int64) Key { return Key{number: n, integer: true} }

// Int returns the integer, if the key is one.
func (k Key) Int() (n int64, ok bool) { return k.number, k.integer }

// String returns the key as text.
func (k Key) String() string {
	if k.integer {
		return strconv.FormatInt(k.number, 10)
	}
	return k.text
}

// integerKey tells which integer PHP takes a string for: only one that is written exactly so (php-src:
// ZEND_HANDLE_NUMERIC_STR).
func integerKey(s string) (int64, bool) {
	if s == "" || len(s) > len("-9223372036854775808") || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != s {
		return 0, false
	}
	return n, true
}
