// Package phpsession reads and writes the payloads of PHP's sessions, so that a PHP page and a Go page share one.
//
//	values, err := phpsession.Decode(phpsession.PHP, payload)
//	name, ok := values.GetString("user", "name") // $_SESSION['user']['name']
//	err = values.Set(2, "cart", "17")            // $_SESSION['cart'][17] = 2
//	payload, err = phpsession.Encode(phpsession.PHP, values)
//
// Packages gorilla and middleware do this for their sessions.
//
// # What becomes of PHP's values
//
// null, bool, int, float and string are nil, bool, int64, float64 and string (of any bytes). An array is an [*Array], which
// keeps its order and PHP's rules for keys. An object is an [*Object]: its class is a name and nothing else, no code
// runs, and it is written back as it was. A reference (&$x) is followed when read, written through when set, and stays one.
//
// What is not changed is written back byte for byte as PHP wrote it, so a Go page can change one value of a session whose
// others it knows nothing of. There are two exceptions, both of igbinary: arrays that PHP shares between two places are
// written twice once one of them was read, and strings are always compact.
//
// # Bounds
//
// No length or count in a payload is believed: memory is taken as bytes are read. Values nest up to [MaxDepth], as in PHP.
// A payload that PHP would not read is an [ErrFormat]; Encode refuses with [sessionstore.ErrTooLarge] to write more than
// [sessionstore.MaxPayload].
//
// # Caveats
//
// Classes that implement Serializable and nothing newer (C: in the payload, deprecated since PHP 8.1) may hide references
// that cannot be numbered from outside. Where a change would have to renumber them, Encode fails with [ErrUnsupported];
// so does Decode where such an object stands before the target of a reference.
package phpsession
