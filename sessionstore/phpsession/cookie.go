package phpsession

import "strings"

// CookieName is the name of PHP's session cookie by default: its setting session.name.
const CookieName = "PHPSESSID"

// CookieValue returns the value of the cookie for a session id, as PHP has it: the id itself, which PHP does not sign. Ids
// may hold commas, which net/http would put in quotes and PHP would then not know.
func CookieValue(id string) string { return strings.ReplaceAll(id, ",", "%2C") }

// CookieID returns the session id in the cookie's value. It may be anything: see [sessionstore.CheckID].
func CookieID(value string) string {
	return strings.NewReplacer("%2C", ",", "%2c", ",").Replace(value)
}
