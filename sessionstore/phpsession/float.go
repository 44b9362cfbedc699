package phpsession

import (
	"math"
	"strconv"
	"strings"
)

// appendFloat writes a float as PHP does with serialize_precision -1: the fewest digits that are read back as the same
// float (php-src: smart_str_append_double, zend_gcvt).
func appendFloat(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, "NAN"...)
	case math.IsInf(f, 1):
		return append(b, "INF"...)
	case math.IsInf(f, -1):
		return append(b, "-INF"...)
	case f == 0:
		if math.Signbit(f) {
			return append(b, "-0"...)
		}
		return append(b, '0')
	}
	const digits = 17
	text := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, exponent, _ := strings.Cut(text, "e")
	e, _ := strconv.Atoi(exponent)
	if e >= -4 && e < digits {
		return strconv.AppendFloat(b, f, 'f', -1, 64)
	}
	b = append(b, mantissa...)
	if !strings.Contains(mantissa, ".") {
		b = append(b, ".0"...)
	}
	b = append(b, 'E')
	if e > 0 {
		b = append(b, '+')
	}
	return strconv.AppendInt(b, int64(e), 10)
}

// parseFloat reads what PHP reads as a float.
func parseFloat(s string) (float64, bool) {
	switch s {
	case "NAN":
		return math.NaN(), true
	case "INF":
		return math.Inf(1), true
	case "-INF":
		return math.Inf(-1), true
	}
	if !isDecimal(s) {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(f, 0) { // out of range is infinity in PHP as well
		return 0, false
	}
	return f, true
}

// isDecimal tells whether a text is a sign, digits with a point, and an exponent, of which all but one digit may be missing.
func isDecimal(s string) bool {
	s = unsigned(s)
	whole := digitsOf(s)
	s = s[whole:]
	fraction := 0
	if strings.HasPrefix(s, ".") {
		fraction = digitsOf(s[1:])
		s = s[1+fraction:]
	}
	if whole+fraction == 0 {
		return false
	}
	if s == "" {
		return true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return false
	}
	s = unsigned(s[1:])
	return s != "" && digitsOf(s) == len(s)
}

func unsigned(s string) string {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		return s[1:]
	}
	return s
}

// digitsOf returns how many digits a text begins with.
func digitsOf(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
