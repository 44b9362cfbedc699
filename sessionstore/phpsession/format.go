package phpsession

import (
	"errors"
	"fmt"
)

// Format is how PHP writes a session: its setting session.serialize_handler.
type Format string

// The formats, by PHP's own names.
const (
	// PHP is PHP's default: names, a bar, the value. It has no place for integer names, nor for a bar in a name.
	PHP Format = "php"
	// PHPSerialize is what serialize($_SESSION) returns.
	PHPSerialize Format = "php_serialize"
	// PHPBinary is as PHP, with lengths in place of the bars: names have up to 127 bytes.
	PHPBinary Format = "php_binary"
	// Igbinary is version 2 of the extension igbinary's format; version 1 is read as well.
	Igbinary Format = "igbinary"
)

// MaxDepth is how deep values nest at most: PHP's default for unserialize_max_depth.
const MaxDepth = 4096

// Errors of this package.
var (
	// ErrFormat: the payload is not of the format, and PHP would not read it either.
	ErrFormat = errors.New("malformed PHP session")
	// ErrUnsupported: the payload or value is sound but cannot be handled without guessing.
	ErrUnsupported = errors.New("not supported in a PHP session")
)

// Check reports whether there is such a format. The error wraps [ErrUnsupported].
func (f Format) Check() error {
	switch f {
	case PHP, PHPSerialize, PHPBinary, Igbinary:
		return nil
	}
	return fmt.Errorf("%w: serialize handler %.20q: there are php, php_serialize, php_binary and igbinary", ErrUnsupported, string(f))
}

// Decode reads a session. No bytes are a session without values, in every format.
//
// Errors: [ErrFormat], [ErrUnsupported].
func Decode(f Format, payload []byte) (*Array, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	if len(payload) == 0 {
		return NewArray(), nil
	}
	switch f {
	case PHPSerialize:
		return decodeSerialized(payload)
	case PHPBinary:
		return decodeNamed(payload, binaryName)
	case Igbinary:
		return decodeIgbinary(payload)
	}
	return decodeNamed(payload, barredName)
}

// Encode writes a session. A session without values is no bytes in the formats PHP and PHPBinary.
//
// Errors: [ErrUnsupported] for a name that the format has no place for, or see the package's caveats;
// [sessionstore.ErrTooLarge].
func Encode(f Format, values *Array) ([]byte, error) {
	switch err := f.Check(); {
	case err != nil:
		return nil, err
	case f == PHPSerialize:
		return encodeSerialized(values)
	case f == PHPBinary:
		return encodeNamed(values, appendBinaryName)
	case f == Igbinary:
		return encodeIgbinary(values)
	}
	return encodeNamed(values, appendBarredName)
}
