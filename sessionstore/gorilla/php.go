package gorilla

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/phpsession"
)

// PHPCookie is the name under which handlers get the session of PHP's pages, if these have the default session.name.
const PHPCookie = phpsession.CookieName

// NewPHP returns a store of the sessions that PHP pages keep in the same namespace, in the format of their
// session.serialize_handler: what either writes, the other reads on the next request.
//
//	store, err := gorilla.NewPHP(shop, phpsession.PHP)
//	session, err := store.Get(r, gorilla.PHPCookie)
//
// The cookie is PHP's: the session's bare id, until the browser ends. Options, Optimistic and Timeout of the store are as
// with [New]; Options.Path and Options.Domain must be PHP's, or browsers keep two cookies of one name.
//
// The error wraps [phpsession.ErrUnsupported] if there is no such format.
func NewPHP(s sessionstore.Sessions, f phpsession.Format) (*Store, error) {
	if err := f.Check(); err != nil {
		return nil, fmt.Errorf("sessions shared with PHP: %w", err)
	}
	store := New(s)
	store.Codecs = []securecookie.Codec{PlainID{}}
	store.Serializer = &PHPSerializer{Format: f}
	store.Options = &sessions.Options{Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	return store, nil
}

// PlainID is a codec of cookies that hold a bare session id, as PHP's do. Guessing one is as hard as with a signature: an
// id has 256 random bits, and one that the store does not know is never adopted.
type PlainID struct{}

// Encode returns the cookie's value for a session id, which must be a string.
func (PlainID) Encode(_ string, value any) (string, error) {
	id, ok := value.(string)
	if !ok {
		return "", fmt.Errorf("a plain cookie holds a string, not a %T", value)
	}
	return phpsession.CookieValue(id), nil
}

// Decode puts the id that a cookie holds into the string that dst points to. Nothing is checked: see [Store.New].
func (PlainID) Decode(_, value string, dst any) error {
	id, ok := dst.(*string)
	if !ok {
		return fmt.Errorf("a plain cookie holds a string, not a %T", dst)
	}
	*id = phpsession.CookieID(value)
	return nil
}

// PHPSerializer encodes values as PHP does. Its zero value uses PHP's default format. A serializer belongs to one store.
//
// The keys of session.Values are strings: $_SESSION['user'] is session.Values["user"]. Values come as [phpsession.Plain]
// gives them, lists as []any, other arrays as map[string]any, integers as int; they may be set to whatever
// [phpsession.From] takes. What a handler does not change keeps its bytes and its place, objects of PHP classes and
// references among it. Flashes are PHP lists: $_SESSION['_flash'][] = 'saved' adds one.
type PHPSerializer struct {
	Format phpsession.Format

	payloads attached[string] // as they were read
}

func (p *PHPSerializer) format() phpsession.Format {
	if p.Format == "" {
		return phpsession.PHP
	}
	return p.Format
}

// Serialize implements [Serializer].
func (p *PHPSerializer) Serialize(session *sessions.Session) ([]byte, error) {
	now := make(map[string]any, len(session.Values))
	for k, v := range session.Values {
		name, err := phpName(k)
		if err != nil {
			return nil, err
		}
		if _, twice := now[name]; twice {
			return nil, fmt.Errorf("PHP knows no difference between the keys %q and %s", name, name)
		}
		now[name] = v
	}
	values, err := phpsession.Decode(p.format(), []byte(p.payloads.get(session)))
	if err != nil { // it could be read before
		return nil, err
	}
	if err := values.Update(now); err != nil {
		return nil, err
	}
	return phpsession.Encode(p.format(), values)
}

func phpName(key any) (string, error) {
	switch k := key.(type) {
	case string:
		return k, nil
	case int:
		return strconv.Itoa(k), nil
	case int64:
		return strconv.FormatInt(k, 10), nil
	}
	return "", fmt.Errorf("a key in a PHP session is a string or an integer, not a %T", key)
}

// Deserialize implements [Serializer].
func (p *PHPSerializer) Deserialize(payload []byte, session *sessions.Session) error {
	decoded, err := phpsession.Decode(p.format(), payload)
	if err != nil {
		return err
	}
	named, err := decoded.Map()
	if err != nil {
		return err
	}
	values := make(map[any]any, len(named))
	for name, v := range named {
		values[name] = v
	}
	session.Values = values
	p.payloads.set(session, string(payload))
	return nil
}
